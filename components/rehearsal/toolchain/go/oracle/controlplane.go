package main

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/config/kube/gateway"
	"istio.io/istio/pilot/pkg/config/memory"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/serviceregistry"
	"istio.io/istio/pilot/pkg/serviceregistry/ambient"
	kubecontroller "istio.io/istio/pilot/pkg/serviceregistry/kube/controller"
	"istio.io/istio/pilot/pkg/status"
	"istio.io/istio/pilot/pkg/xds"
	"istio.io/istio/pkg/activenotifier"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/config/schema/gvr"
	"istio.io/istio/pkg/config/schema/kind"
	kubelib "istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/kube/krt"
	"istio.io/istio/pkg/kube/multicluster"
	"istio.io/istio/pkg/test"
	"istio.io/istio/pkg/test/util/retry"
	"istio.io/istio/pkg/util/sets"
)

const (
	clusterID     = "Kubernetes" // what istiod calls its own cluster
	rootNamespace = "istio-system"
	soon          = time.Millisecond
)

// watched is what the client in memory must know as custom resources.
var watched = []schema.GroupVersionResource{
	gvr.AuthorizationPolicy, gvr.PeerAuthentication, gvr.WorkloadEntry, gvr.ServiceEntry, gvr.GatewayClass,
	gvr.KubernetesGateway, gvr.HTTPRoute, gvr.GRPCRoute, gvr.TCPRoute, gvr.TLSRoute, gvr.ReferenceGrant,
}

// controlPlane is istiod's own parts over stores in memory.
type controlPlane struct {
	*core.ConfigGenTest
	server *xds.DiscoveryServer
	routes *gateway.Controller
}

// newControlPlane returns once everything is read and the first configuration is made.
func newControlPlane(t test.Failer, in admission, settings *meshconfig.MeshConfig, domain string) *controlPlane {
	server := xds.NewDiscoveryServer(model.NewEnvironment(), map[string]string{}, krt.GlobalDebugHandler)
	server.DebounceOptions.DebounceAfter = 0
	server.DiscoveryStartTime = time.Now()
	t.Cleanup(server.Shutdown)
	plane := &controlPlane{server: server}

	client := kubelib.NewFakeClient(in.objects...)
	watcher := meshwatcher.NewTestWatcher(settings)
	registry, _ := kubecontroller.NewFakeControllerWithOptions(t, kubecontroller.FakeControllerOptions{
		ServiceHandler: plane.serviceChanged, Client: client, ClusterID: clusterID, DomainSuffix: domain, XDSUpdater: server,
		SkipRun: true, ConfigCluster: true, MeshWatcher: watcher, CRDs: watched,
	})
	// Made after the registry: clean-up runs backwards, and the client waits for what `stop` ends.
	stop := test.NewStop(t)
	plane.ConfigGenTest = core.NewConfigGenTest(t, core.TestOptions{
		Configs:           in.configs,
		ConfigController:  memory.NewController(memory.MakeSkipValidation(collections.PilotGatewayAPI())),
		MeshConfig:        settings,
		XDSUpdater:        server,
		ServiceRegistries: []serviceregistry.Instance{registry},
		CreateConfigStore: func(model.ConfigStoreController) model.ConfigStoreController {
			known := func(schema.GroupVersionResource, <-chan struct{}) bool { return true }
			plane.routes = gateway.NewController(client, known, kubecontroller.Options{DomainSuffix: domain}, server)
			return plane.routes
		},
		SkipRun:   true,
		ClusterID: clusterID,
	})
	plane.Registry.AppendServiceHandler(plane.serviceChanged)
	server.Env = plane.Env()
	server.Env.DomainSuffix = domain
	server.Env.GatewayAPIController = plane.routes
	if err := server.Env.InitNetworksManager(server); err != nil {
		t.Fatal(err)
	}
	plane.MemRegistry.XdsUpdater = server
	synced := []func() bool{plane.Registry.HasSynced, plane.Store().HasSynced}
	index := plane.ambientIndex(t, client, watcher, domain, stop)
	if index != nil {
		synced = append(synced, index.HasSynced)
	}
	client.RunAndWait(stop)
	for _, each := range collections.PilotGatewayAPI().All() {
		if of := each.GroupVersionKind(); of != gvk.ServiceEntry && of != gvk.WorkloadEntry {
			plane.Store().RegisterEventHandler(of, func(_, changed config.Config, _ model.Event) {
				plane.changed(gvk.MustToKind(changed.GroupVersionKind), changed.Name, changed.Namespace)
			})
		}
	}
	plane.ServiceEntryRegistry.AppendWorkloadHandler(registry.WorkloadInstanceHandler)
	registry.AppendWorkloadHandler(plane.ServiceEntryRegistry.WorkloadInstanceHandler)
	plane.ServiceEntryRegistry.XdsUpdater = server
	server.Start(stop)
	if index != nil {
		go index.Run(stop)
	}
	// Gateways and routes wait for a first push, which nothing but a Service would make.
	server.ConfigUpdate(&model.PushRequest{Forced: true})
	plane.Run()
	for _, done := range synced {
		retry.UntilOrFail(t, done, retry.Delay(soon))
	}
	plane.ServiceEntryRegistry.ResyncEDS()
	server.ConfigUpdate(&model.PushRequest{Forced: true})
	wanted := server.InboundUpdates.Load()
	retry.UntilOrFail(t, func() bool { return server.CommittedUpdates.Load() >= wanted }, retry.Delay(soon))
	return plane
}

func (plane *controlPlane) changed(of kind.Kind, name, namespace string) {
	plane.server.ConfigUpdate(&model.PushRequest{
		ConfigsUpdated: sets.New(model.ConfigKey{Kind: of, Name: name, Namespace: namespace}),
		Reason:         model.NewReasonStats(model.ConfigUpdate),
	})
}

func (plane *controlPlane) serviceChanged(_, service *model.Service, _ model.Event) {
	plane.changed(kind.ServiceEntry, string(service.Hostname), service.Attributes.Namespace)
}

// ambientIndex knows workloads and waypoints; nil where istiod's environment leaves ambient mode off.
func (plane *controlPlane) ambientIndex(
	t test.Failer, client kubelib.Client, watcher meshwatcher.TestWatcher, domain string, stop chan struct{},
) ambient.Index {
	plane.server.Env.AmbientIndexes = &model.NoopAmbientIndexes{}
	if !features.EnableAmbient {
		return nil
	}
	clusters := multicluster.NewController(multicluster.ControllerOptions{
		Client: client, ClusterID: clusterID, SystemNamespace: rootNamespace, MeshConfig: watcher,
		Debugger: krt.GlobalDebugHandler,
	})
	index := ambient.New(ambient.Options{
		SystemNamespace: rootNamespace, DomainSuffix: domain, ClusterID: clusterID, XDSUpdater: plane.server,
		MeshConfig: watcher, StatusNotifier: activenotifier.New(false), Debugger: krt.GlobalDebugHandler,
		MultiClusterController: clusters,
		Flags: ambient.FeatureFlags{
			DefaultAllowFromWaypoint:              features.DefaultAllowFromWaypoint,
			EnableK8SServiceSelectWorkloadEntries: features.EnableK8SServiceSelectWorkloadEntries,
		},
	})
	if err := clusters.Run(stop); err != nil {
		t.Fatal(err)
	}
	plane.server.Env.AmbientIndexes = index
	return index
}

// statusStore takes the statuses that istiod writes.
type statusStore struct {
	model.ConfigStore
	lock    sync.Mutex
	written map[string]interface{}
}

func (store *statusStore) Get(of config.GroupVersionKind, name, namespace string) *config.Config {
	return &config.Config{Meta: config.Meta{GroupVersionKind: of, Name: name, Namespace: namespace}}
}

func (store *statusStore) UpdateStatus(changed config.Config) (string, error) {
	store.lock.Lock()
	defer store.lock.Unlock()
	store.written[statusKey(changed.GroupVersionKind.Kind, changed.Namespace, changed.Name)] = changed.Status
	return "", nil
}

func (store *statusStore) snapshot() map[string]interface{} {
	store.lock.Lock()
	defer store.lock.Unlock()
	copied := map[string]interface{}{}
	for key, value := range store.written {
		copied[key] = value
	}
	return copied
}

func statusKey(kind, namespace, name string) string { return kind + " " + namespace + "/" + name }

// statuses returns the Gateway API statuses of the named objects; of one whose class is not Istio's there is none.
func (plane *controlPlane) statuses(t test.Failer, of []string) map[string]interface{} {
	store := &statusStore{written: map[string]interface{}{}}
	manager := status.NewManager(store)
	manager.Start(test.NewStop(t))
	plane.routes.SetStatusWrite(true, manager)
	all := func() bool {
		written := store.snapshot()
		for _, key := range of {
			if _, there := written[key]; !there {
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(statusPatience); !all() && time.Now().Before(end); {
		time.Sleep(soon)
	}
	return store.snapshot()
}

// statusPatience is how long statuses are waited for that may never be written.
const statusPatience = 100 * time.Millisecond
