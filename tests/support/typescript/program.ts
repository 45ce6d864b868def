// A program in TypeScript that uses the plugin's components, run by Pulumi's Automation API: no host for Node.js needed.
// Arguments: up or destroy. Standard input: the overlay's arguments and the kubeconfig, as JSON.
import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { LocalWorkspace } from "@pulumi/pulumi/automation";

// What `pulumi package add` would generate.
class ExistingCluster extends pulumi.ComponentResource {
    public readonly kubeconfig!: pulumi.Output<string>;

    constructor(name: string, args: { kubeconfig: pulumi.Input<string> }) {
        super("trafficmirror:index:ExistingCluster", name, { kubeconfig: args.kubeconfig, server: undefined }, {}, true);
    }
}

class MirrorOverlay extends pulumi.ComponentResource {
    public readonly mirrors!: pulumi.Output<{ percent: number }[]>;

    constructor(name: string, args: pulumi.Inputs) {
        super("trafficmirror:index:MirrorOverlay", name, { mirrors: undefined, ...args }, {}, true);
    }
}

const given: { kubeconfig: string; overlay: pulumi.Inputs } = JSON.parse(readFileSync(0, "utf8"));

const program = async () => {
    const cluster = new ExistingCluster("cluster", { kubeconfig: pulumi.secret(given.kubeconfig) });
    const shop = new MirrorOverlay("shop", { ...given.overlay, kubeconfig: cluster.kubeconfig });
    return { mirrors: shop.mirrors };
};

const main = async () => {
    const stack = await LocalWorkspace.createOrSelectStack({ stackName: "dev", projectName: "shop-ts", program });
    if (process.argv[2] === "destroy") {
        await stack.destroy();
        return;
    }
    const done = await stack.up();
    console.log(JSON.stringify(done.outputs.mirrors.value));
};

main().catch((error) => {
    console.error(String(error));
    process.exitCode = 1;
});
