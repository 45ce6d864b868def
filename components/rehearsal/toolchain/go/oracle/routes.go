package main

import (
	"fmt"
	"sort"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// routesFact is one route configuration.
type routesFact struct {
	Name      string     `json:"name"`
	Listeners []string   `json:"listeners,omitempty"`
	Hosts     []hostFact `json:"hosts"`
	Refused   string     `json:"refused,omitempty"` // why Envoy would refuse all of it
}

// hostFact is one virtual host.
type hostFact struct {
	Name    string       `json:"name"`
	Domains []string     `json:"domains"`
	Routes  []routeFact  `json:"routes"`
	Mirrors []mirrorFact `json:"mirrors,omitempty"` // of routes that have none of their own
	TLS     string       `json:"require_tls,omitempty"`
}

// routeFact is one route.
type routeFact struct {
	Name     string             `json:"name,omitempty"`
	Match    string             `json:"match"`
	Action   string             `json:"action"` // "route", "redirect", "direct <status>" or "none"
	Clusters map[string]float64 `json:"clusters,omitempty"`
	Mirrors  []mirrorFact       `json:"mirrors,omitempty"`
	Timeout  float64            `json:"timeout,omitempty"` // seconds; 0 for none
	Remove   []string           `json:"remove,omitempty"`  // headers that primary and copies lose
}

// mirrorFact is one mirror policy.
type mirrorFact struct {
	Cluster string   `json:"cluster"`
	Share   float64  `json:"share"` // per cent
	Remove  []string `json:"remove,omitempty"`
	Append  []string `json:"append,omitempty"` // names of headers that are set on the copy
}

var denominators = map[typev3.FractionalPercent_DenominatorType]float64{
	typev3.FractionalPercent_HUNDRED: 1e2, typev3.FractionalPercent_TEN_THOUSAND: 1e4, typev3.FractionalPercent_MILLION: 1e6,
}

func readRoutes(given *routev3.RouteConfiguration) routesFact {
	fact := routesFact{Name: given.GetName(), Refused: refusal(given)}
	for _, host := range given.GetVirtualHosts() {
		if host.GetName() == "allow_any" || host.GetName() == "block_all" {
			continue
		}
		read := hostFact{Name: host.GetName(), Domains: host.GetDomains(), Mirrors: readMirrors(host.GetRequestMirrorPolicies())}
		for _, route := range host.GetRoutes() {
			read.Routes = append(read.Routes, readRoute(route))
		}
		if required := host.GetRequireTls(); required != routev3.VirtualHost_NONE {
			read.TLS = required.String()
		}
		fact.Hosts = append(fact.Hosts, read)
	}
	return fact
}

func readRoute(given *routev3.Route) routeFact {
	match, _ := protojson.Marshal(given.GetMatch())
	fact := routeFact{
		Name: given.GetName(), Match: strings.ReplaceAll(string(match), " ", ""), Remove: lower(given.GetRequestHeadersToRemove()),
	}
	switch {
	case given.GetRoute() != nil:
		action := given.GetRoute()
		fact.Action, fact.Mirrors, fact.Clusters = "route", readMirrors(action.GetRequestMirrorPolicies()), map[string]float64{}
		if name := action.GetCluster(); name != "" {
			fact.Clusters[name] = 1
		}
		for _, weighted := range action.GetWeightedClusters().GetClusters() {
			fact.Clusters[weighted.GetName()] += float64(weighted.GetWeight().GetValue())
		}
		fact.Timeout = action.GetTimeout().AsDuration().Seconds()
	case given.GetRedirect() != nil:
		fact.Action = "redirect"
	case given.GetDirectResponse() != nil:
		fact.Action = fmt.Sprintf("direct %d", given.GetDirectResponse().GetStatus())
	default:
		fact.Action = "none"
	}
	return fact
}

func readMirrors(policies []*routev3.RouteAction_RequestMirrorPolicy) []mirrorFact {
	var found []mirrorFact
	for _, policy := range policies {
		fact := mirrorFact{Cluster: policy.GetCluster(), Share: share(policy)}
		for _, mutation := range policy.GetRequestHeadersMutations() {
			if name := mutation.GetRemove(); name != "" {
				fact.Remove = append(fact.Remove, name)
			} else if name := mutation.GetAppend().GetHeader().GetKey(); name != "" {
				fact.Append = append(fact.Append, name)
			}
		}
		fact.Remove, fact.Append = lower(fact.Remove), lower(fact.Append)
		found = append(found, fact)
	}
	return found
}

func share(policy *routev3.RouteAction_RequestMirrorPolicy) float64 {
	fraction := policy.GetRuntimeFraction()
	if fraction == nil {
		return 100
	}
	value := fraction.GetDefaultValue()
	return min(100, float64(value.GetNumerator())*100/denominators[value.GetDenominator()])
}

func (fact routesFact) noteClusters(wanted map[string]bool) {
	note := func(mirrors []mirrorFact) {
		for _, mirror := range mirrors {
			wanted[mirror.Cluster] = true
		}
	}
	for _, host := range fact.Hosts {
		note(host.Mirrors)
		for _, route := range host.Routes {
			note(route.Mirrors)
			for name := range route.Clusters {
				wanted[name] = true
			}
		}
	}
}

func lower(names []string) []string {
	var found []string
	for _, name := range names {
		found = append(found, strings.ToLower(name))
	}
	sort.Strings(found)
	return found
}
