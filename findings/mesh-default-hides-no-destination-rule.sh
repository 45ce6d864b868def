#!/usr/bin/env bash
# A namespace in a mesh's defaultDestinationRuleExportTo hides no DestinationRule from anybody.
#
# Package: istio.io/istio at the commit of release 1.31.0 (Go module).
# Guess:   defaultDestinationRuleExportTo: [home] does to DestinationRules without exportTo what the same list does to
#          them as exportTo, and what defaultServiceExportTo: [home] does to Services: other namespaces lose them.
# Seen:    proxies of every namespace are governed by them. Of this one list only `.` counts; any other is as `*`,
#          while the defaults of Services and the rule's own exportTo mean what they say.
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

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pkg/config/mesh"
)

const objects = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: home}
spec:
  hosts: [a.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: home}
spec:
  host: a.example
  trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}
`

// seen tells how a proxy of another namespace has the host's cluster.
func seen(t *testing.T, added string, settings *meshconfig.MeshConfig) string {
	generator := core.NewConfigGenTest(t, core.TestOptions{ConfigString: objects + added, MeshConfig: settings})
	for _, each := range generator.Clusters(generator.SetupProxy(&model.Proxy{ConfigNamespace: "other"})) {
		if each.Name == "outbound|80||a.example" {
			limit := each.CircuitBreakers.GetThresholds()[0].GetMaxConnections().GetValue()
			return map[bool]string{true: "governed", false: "not governed"}[limit == 7]
		}
	}
	return "no cluster"
}

func settings(change func(*meshconfig.MeshConfig)) *meshconfig.MeshConfig {
	made := mesh.DefaultMeshConfig()
	change(made)
	return made
}

func TestDefaults(t *testing.T) {
	for _, each := range []struct {
		what, added, want string
		change            func(*meshconfig.MeshConfig)
	}{
		{"nothing said", "", "governed", func(*meshconfig.MeshConfig) {}},
		{"exportTo: [home]", "  exportTo: [home]\n", "not governed", func(*meshconfig.MeshConfig) {}},
		{"defaultServiceExportTo: [home]", "", "no cluster", func(m *meshconfig.MeshConfig) {
			m.DefaultServiceExportTo = []string{"home"}
		}},
		{"defaultDestinationRuleExportTo: [.]", "", "not governed", func(m *meshconfig.MeshConfig) {
			m.DefaultDestinationRuleExportTo = []string{"."}
		}},
		{"defaultDestinationRuleExportTo: [home]", "", "governed", func(m *meshconfig.MeshConfig) {
			m.DefaultDestinationRuleExportTo = []string{"home"}
		}},
	} {
		found := seen(t, each.added, settings(each.change))
		fmt.Printf("%-40s another namespace: %s\n", each.what, found)
		if found != each.want {
			t.Errorf("%s: %s, not %s any more", each.what, found, each.want)
		}
	}
}
GO
go mod init finding 2>/dev/null
go get istio.io/istio@v0.0.0-20260827124520-eed52ebb66ad >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
go test -count=1 -v . >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
grep -E 'another namespace: |^ok' "$folder/log"
