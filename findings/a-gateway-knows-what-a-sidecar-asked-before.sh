#!/usr/bin/env bash
# Whether a gateway has a cluster may depend on who asked istiod before it.
#
# Package: istio.io/istio at the commit of release 1.31.0 (Go module).
# Guess:   what a gateway gets follows from the objects of the mesh: it has a cluster for each host that is exported to
#          its namespace, and who else is connected changes nothing.
# Seen:    a host of its own namespace that is exported elsewhere, and that a route there leads to, is known to sidecars
#          of that namespace. A gateway beside them has no cluster for it when it asks first, and has one when a sidecar
#          of its namespace has asked before: istiod then hands it what was made for the sidecar.
#
# Compiles istiod's configuration generator from source: some minutes, 3 GB in a temporary folder. No network but for
# the modules.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export GOMODCACHE=$folder/modules GOCACHE=$folder/cache GOFLAGS="-mod=mod -modcacherw"
mkdir "$folder/finding" && cd "$folder/finding"
cat >finding_test.go <<'GO'
package finding

import (
	"fmt"
	"testing"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
)

const objects = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: home}
spec:
  hosts: [a.example]
  exportTo: [elsewhere]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: home}
spec:
  hosts: [b.example]
  http:
  - route: [{destination: {host: a.example}}]
`

// knows tells whether the last of some proxies of the entry's own namespace, which ask in this order, has its cluster.
func knows(t *testing.T, asking ...model.NodeType) bool {
	generator := core.NewConfigGenTest(t, core.TestOptions{ConfigString: objects})
	known := false
	for _, kind := range asking {
		known = false
		for _, each := range generator.Clusters(generator.SetupProxy(&model.Proxy{Type: kind, ConfigNamespace: "home"})) {
			known = known || each.Name == "outbound|80||a.example"
		}
	}
	return known
}

func TestOrder(t *testing.T) {
	for _, each := range []struct {
		what   string
		asking []model.NodeType
		want   bool
	}{
		{"a sidecar", []model.NodeType{model.SidecarProxy}, true},
		{"a gateway", []model.NodeType{model.Router}, false},
		{"a gateway, after a sidecar", []model.NodeType{model.SidecarProxy, model.Router}, true},
		{"a sidecar, after a gateway", []model.NodeType{model.Router, model.SidecarProxy}, true},
		{"a gateway, after gateway and sidecar", []model.NodeType{model.Router, model.SidecarProxy, model.Router}, true},
	} {
		found := knows(t, each.asking...)
		fmt.Printf("%-37s has the cluster: %t\n", each.what, found)
		if found != each.want {
			t.Errorf("%s: %t, not %t any more", each.what, found, each.want)
		}
	}
}
GO
go mod init finding 2>/dev/null
go get istio.io/istio@v0.0.0-20260827124520-eed52ebb66ad >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
go test -count=1 -v . >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
grep -E 'has the cluster: |^ok' "$folder/log"
