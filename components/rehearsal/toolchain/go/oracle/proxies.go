package main

import (
	"fmt"
	"sort"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/xds/endpoints"
	"istio.io/istio/pkg/version"
)

// proxyFact is what one proxy gets of what concerns requests that it sends on.
type proxyFact struct {
	Filters  []string               `json:"envoy_filters,omitempty"` // patches that reach it, whether they match or not
	Routes   []routesFact           `json:"routes"`
	Clusters map[string]clusterFact `json:"clusters"` // those that its routes or their mirrors name
	Rendered *rendering             `json:"rendered,omitempty"`
}

func (plane *controlPlane) factsOf(asked proxyQuestion) proxyFact {
	release := asked.Version
	if release == "" {
		release = version.Info.Version
	}
	proxy := plane.SetupProxy(&model.Proxy{
		ID: asked.Name + "." + asked.Namespace, Type: asked.Type, ConfigNamespace: asked.Namespace, Labels: asked.Labels,
		IPAddresses: []string{asked.IP},
		Metadata: &model.NodeMetadata{
			Namespace: asked.Namespace, Labels: asked.Labels, IstioVersion: release, ClusterID: clusterID,
		},
	})
	fact := proxyFact{Filters: plane.filters(proxy), Clusters: map[string]clusterFact{}}
	listeners := plane.Listeners(proxy)
	users, inline := routesOfListeners(listeners)
	named := plane.RoutesFromListeners(proxy, listeners)
	for _, each := range append(inline, named...) {
		if strings.HasPrefix(each.GetName(), "inbound|") {
			continue
		}
		read := readRoutes(each)
		read.Listeners = users[each.GetName()]
		fact.Routes = append(fact.Routes, read)
	}
	wanted := map[string]bool{}
	for _, each := range fact.Routes {
		each.noteClusters(wanted)
	}
	clusters := plane.Clusters(proxy)
	counts := plane.endpoints(proxy, clusters)
	for _, each := range clusters {
		if wanted[each.GetName()] {
			fact.Clusters[each.GetName()] = readCluster(each, counts[each.GetName()])
		}
	}
	if asked.Rendered {
		fact.Rendered = render(listeners, named, clusters, counts)
	}
	return fact
}

func (plane *controlPlane) filters(proxy *model.Proxy) []string {
	var found []string
	if reaching := plane.PushContext().EnvoyFilters(proxy); reaching != nil {
		for place, patches := range reaching.Patches {
			for _, patch := range patches {
				found = append(found, fmt.Sprintf("%s %s %s", patch.FullName, place, patch.Operation))
			}
		}
	}
	sort.Strings(found)
	return found
}

// endpoints counts the addresses behind each cluster.
func (plane *controlPlane) endpoints(proxy *model.Proxy, clusters []*clusterv3.Cluster) map[string]int {
	found := map[string]int{}
	for _, each := range clusters {
		groups := each.GetLoadAssignment().GetEndpoints()
		if each.GetType() == clusterv3.Cluster_EDS {
			name := each.GetName()
			if service := each.GetEdsClusterConfig().GetServiceName(); service != "" {
				name = service
			}
			builder := endpoints.NewEndpointBuilder(name, proxy, plane.PushContext())
			groups = builder.BuildClusterLoadAssignment(plane.server.Env.EndpointIndex).GetEndpoints()
		}
		for _, group := range groups {
			found[each.GetName()] += len(group.GetLbEndpoints())
		}
	}
	return found
}

// routesOfListeners returns which listeners use a route configuration by its name, and those that are written in place.
func routesOfListeners(listeners []*listenerv3.Listener) (map[string][]string, []*routev3.RouteConfiguration) {
	users := map[string][]string{}
	var inline []*routev3.RouteConfiguration
	for _, listener := range listeners {
		chains := listener.GetFilterChains()
		if other := listener.GetDefaultFilterChain(); other != nil {
			chains = append(chains, other)
		}
		for _, chain := range chains {
			for _, filter := range chain.GetFilters() {
				manager := &hcmv3.HttpConnectionManager{}
				config := filter.GetTypedConfig()
				if config == nil || !config.MessageIs(manager) || config.UnmarshalTo(manager) != nil {
					continue
				}
				name := manager.GetRds().GetRouteConfigName()
				if written := manager.GetRouteConfig(); written != nil {
					name = written.GetName()
					inline = append(inline, written)
				}
				users[name] = append(users[name], listener.GetName())
			}
		}
	}
	return users, inline
}
