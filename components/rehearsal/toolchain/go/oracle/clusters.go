package main

import (
	"math"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// clusterFact is one cluster. A limit of 0 is none.
type clusterFact struct {
	Type           string     `json:"type"`
	Endpoints      int        `json:"endpoints"`
	ConnectTimeout float64    `json:"connect_timeout"` // seconds
	Limits         limitsFact `json:"limits"`
	Outliers       *outliers  `json:"outlier_detection,omitempty"`
	KeepAlive      bool       `json:"keep_alive"` // of TCP or HTTP/2
	TLS            bool       `json:"tls"`
	Life           float64    `json:"max_stream_duration"` // seconds; 0 for no bound
	Refused        string     `json:"refused,omitempty"`   // why Envoy would refuse it
}

type limitsFact struct {
	Connections uint32 `json:"connections"`
	Pending     uint32 `json:"pending"`
	Requests    uint32 `json:"requests"`
}

type outliers struct {
	Ejects     bool    `json:"ejects"`               // whether answers with an error eject anybody
	MaxPercent uint32  `json:"max_ejection_percent"` // of the endpoints
	MinHealthy float64 `json:"min_health_percent"`   // below it ejected endpoints get requests again
}

func readCluster(given *clusterv3.Cluster, endpoints int) clusterFact {
	fact := clusterFact{
		Type: given.GetType().String(), Endpoints: endpoints, ConnectTimeout: given.GetConnectTimeout().AsDuration().Seconds(),
		KeepAlive: given.GetUpstreamConnectionOptions().GetTcpKeepalive() != nil,
		TLS:       given.GetTransportSocket() != nil || len(given.GetTransportSocketMatches()) > 0,
		Refused:   refusal(given),
	}
	if custom := given.GetClusterType(); custom != nil {
		fact.Type = custom.GetName()
	}
	for _, limits := range given.GetCircuitBreakers().GetThresholds() {
		if limits.GetPriority() == corev3.RoutingPriority_DEFAULT {
			fact.Limits = limitsFact{
				Connections: limit(limits.GetMaxConnections()), Pending: limit(limits.GetMaxPendingRequests()),
				Requests: limit(limits.GetMaxRequests()),
			}
		}
	}
	fact.Outliers = readOutliers(given)
	common := given.GetCommonHttpProtocolOptions()
	options := &httpv3.HttpProtocolOptions{}
	if written := given.GetTypedExtensionProtocolOptions()[httpOptions]; written != nil && written.UnmarshalTo(options) == nil {
		if own := options.GetCommonHttpProtocolOptions(); own != nil {
			common = own
		}
		if options.GetExplicitHttpConfig().GetHttp2ProtocolOptions().GetConnectionKeepalive() != nil {
			fact.KeepAlive = true
		}
		if reason := refusal(options); reason != "" {
			fact.Refused = reason
		}
	}
	fact.Life = common.GetMaxStreamDuration().AsDuration().Seconds()
	return fact
}

// limit returns 0 for what is no limit; Istio writes the largest number for one that nobody set.
func limit(value *wrapperspb.UInt32Value) uint32 {
	if value == nil || value.GetValue() >= math.MaxInt32 {
		return 0
	}
	return value.GetValue()
}

func readOutliers(given *clusterv3.Cluster) *outliers {
	detection := given.GetOutlierDetection()
	if detection == nil {
		return nil
	}
	// Envoy's defaults: five errors in a row, ejection enforced for 5xx and not for gateway errors, one tenth ejected.
	counts := func(errors, enforced *wrapperspb.UInt32Value, usual bool) bool {
		on := enforced == nil && usual || enforced.GetValue() > 0
		return on && (errors == nil || errors.GetValue() > 0)
	}
	found := &outliers{
		Ejects: counts(detection.GetConsecutive_5Xx(), detection.GetEnforcingConsecutive_5Xx(), true) ||
			counts(detection.GetConsecutiveGatewayFailure(), detection.GetEnforcingConsecutiveGatewayFailure(), false),
		MaxPercent: 10,
		MinHealthy: given.GetCommonLbConfig().GetHealthyPanicThreshold().GetValue(),
	}
	if most := detection.GetMaxEjectionPercent(); most != nil {
		found.MaxPercent = most.GetValue()
	}
	return found
}
