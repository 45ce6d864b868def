// Command oracle says what istiod would do with given objects: what is refused or pruned on the way to it, and what
// given proxies would get. It has istiod's own parts over stores in memory, and needs no server.
//
// Started with the files of the CustomResourceDefinitions, it reads one question a line from its standard input and
// answers each with one line, both JSON; see the types question and answer. It frees little of what a question took,
// so whoever asks much starts it anew now and then.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/schema/gatewayapi"
	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/test"
	"istio.io/istio/pkg/version"
)

const (
	defaultDomain = "cluster.local"
	longestLine   = 64 << 20
)

// question is a cluster's objects and the proxies that are asked for.
type question struct {
	Objects  []json.RawMessage `json:"objects"`
	Mesh     json.RawMessage   `json:"mesh"`     // parts of the MeshConfig that differ from Istio's defaults
	Domain   string            `json:"domain"`   // of Services; "cluster.local" where it is empty
	Proxies  []proxyQuestion   `json:"proxies"`  // who asks istiod
	Statuses bool              `json:"statuses"` // whether the statuses of the Gateway API are wanted
}

// proxyQuestion is one proxy.
type proxyQuestion struct {
	Name      string            `json:"name"`
	Type      model.NodeType    `json:"type"` // "sidecar", "router" or "waypoint"
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels"`
	IP        string            `json:"ip"`
	Version   string            `json:"version"`  // the oracle's own where it is empty
	Rendered  bool              `json:"rendered"` // whether all that it gets is wanted beside the facts
}

// answer is what becomes of the objects, and what each proxy gets.
type answer struct {
	Version  string                 `json:"version"`
	Error    string                 `json:"error,omitempty"`
	Objects  []objectFact           `json:"objects,omitempty"`
	Proxies  map[string]proxyFact   `json:"proxies,omitempty"`
	Statuses map[string]interface{} `json:"statuses,omitempty"`
	Millis   float64                `json:"milliseconds"`
}

func main() {
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}
	clear(gatewayapi.MinimumCRDVersions) // the client in memory has no CRDs that carry a version
	types, err := loadCustomTypes(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		asked := question{}
		given := answer{Version: version.Info.Version}
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			given.Error = err.Error()
		} else {
			respond(types, asked, &given)
		}
		if err := answers.Encode(given); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func respond(types customTypes, asked question, given *answer) {
	begin := time.Now()
	defer func() { given.Millis = float64(time.Since(begin).Microseconds()) / 1000 }()
	if asked.Domain == "" {
		asked.Domain = defaultDomain
	}
	settings, err := meshSettings(asked.Mesh)
	if err != nil {
		given.Error = err.Error()
		return
	}
	admitted := admit(types, asked.Objects, asked.Domain)
	given.Objects = admitted.facts
	// istiod's parts come with a tester's clean-up; what fails in them is an answer here, not the end.
	failed := test.Wrap(func(t test.Failer) {
		plane := newControlPlane(t, admitted, settings, asked.Domain)
		if asked.Statuses {
			given.Statuses = plane.statuses(t, admitted.routed)
		}
		given.Proxies = map[string]proxyFact{}
		for _, each := range asked.Proxies {
			given.Proxies[each.Name] = plane.factsOf(each)
		}
	})
	if failed != nil {
		given.Error = failed.Error()
	}
}

func meshSettings(given json.RawMessage) (*meshconfig.MeshConfig, error) {
	settings := mesh.DefaultMeshConfig()
	if len(given) == 0 || string(given) == "null" {
		return settings, nil
	}
	return settings, config.ApplyJSON(settings, string(given))
}
