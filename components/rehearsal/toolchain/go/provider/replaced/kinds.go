// What the provider registers for an object of a ConfigGroup, a ConfigFile or a Chart. The SDK's own file says the same
// in one case per kind, each with the kind's Go type, whose fields the provider never reads; they were half its build.
package v2

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RegisterResource registers an object under the type token that the SDKs give its kind.
func RegisterResource(ctx *pulumi.Context, apiVersion, kind, name string, props pulumi.Input,
	opts ...pulumi.ResourceOption) (pulumi.CustomResource, error) {
	if apiVersion == "v1" {
		apiVersion = "core/v1" // the SDKs name the group that has no name in Kubernetes
	}
	resource := &pulumi.CustomResourceState{}
	err := ctx.RegisterResource(fmt.Sprintf("kubernetes:%s:%s", apiVersion, kind), name, props, resource, opts...)
	if err != nil {
		return nil, err
	}
	return resource, nil
}
