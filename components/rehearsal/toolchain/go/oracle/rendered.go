package main

import (
	"encoding/json"
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// rendering is all that a proxy gets, in the JSON that Envoy reads itself, with the names of its API's fields.
type rendering struct {
	Listeners  []json.RawMessage `json:"listeners"`
	Routes     []json.RawMessage `json:"routes"` // those that listeners name; others are written in them
	Clusters   []json.RawMessage `json:"clusters"`
	Endpoints  map[string]int    `json:"endpoints"`            // addresses by cluster
	Unreadable []string          `json:"unreadable,omitempty"` // what has extensions that are not known here
}

func render(
	listeners []*listenerv3.Listener, routes []*routev3.RouteConfiguration, clusters []*clusterv3.Cluster, endpoints map[string]int,
) *rendering {
	found := &rendering{Endpoints: endpoints}
	for _, each := range listeners {
		found.Listeners = found.add(found.Listeners, "listener "+each.GetName(), each)
	}
	for _, each := range routes {
		found.Routes = found.add(found.Routes, "route configuration "+each.GetName(), each)
	}
	for _, each := range clusters {
		found.Clusters = found.add(found.Clusters, "cluster "+each.GetName(), each)
	}
	return found
}

func (found *rendering) add(to []json.RawMessage, name string, message proto.Message) []json.RawMessage {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		found.Unreadable = append(found.Unreadable, fmt.Sprintf("%s: %v", name, err))
		return to
	}
	return append(to, text)
}
