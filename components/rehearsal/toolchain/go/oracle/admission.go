package main

import (
	"encoding/json"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
	kubelib "istio.io/istio/pkg/kube"
)

// objectFact is what happens to an object before istiod sees it.
type objectFact struct {
	Index   int      `json:"index"` // in the question's list
	Object  string   `json:"object"`
	Refused string   `json:"refused,omitempty"` // why it is refused
	By      string   `json:"by,omitempty"`      // "API server" or "webhook"; "client" for what is no object
	Pruned  []string `json:"pruned,omitempty"`  // fields that are dropped because no schema has them
	Warning string   `json:"warning,omitempty"`
}

// admission is what is left of the objects, as istiod's stores want it.
type admission struct {
	configs []config.Config
	objects []kruntime.Object
	facts   []objectFact
	routed  []string // keys of the Gateway API's objects that istiod writes statuses of
}

// firstCreation is when the first object counts as created; each further one is a second younger.
var firstCreation = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// nameless stands for a name that an object lacks, as the linter calls it.
const nameless = "?"

var statusKinds = map[string]bool{"Gateway": true, "HTTPRoute": true, "GRPCRoute": true}

// admit does what the API server and Istio's webhook do with objects that somebody applies, in their order.
func admit(types customTypes, objects []json.RawMessage, domain string) admission {
	in := admission{}
	strict := kjson.NewSerializerWithOptions(
		kjson.DefaultMetaFactory, kubelib.IstioScheme, kubelib.IstioScheme, kjson.SerializerOptions{Strict: true})
	for index, text := range objects {
		object := &unstructured.Unstructured{}
		fact := objectFact{Index: index}
		if err := utiljson.Unmarshal(text, &object.Object); err != nil || object.Object == nil { // keeps whole numbers whole
			fact.By, fact.Refused = "client", "no object"
			in.facts = append(in.facts, fact)
			continue
		}
		written, _, _ := unstructured.NestedFieldNoCopy(object.Object, "metadata", "namespace")
		if (written == nil || written == "") && !clusterWide(object) {
			object.SetNamespace("default")
		}
		name := object.GetName()
		if name == "" {
			name = nameless
		}
		fact.Object = object.GetKind() + " " + object.GetNamespace() + "/" + name
		err := checkMetadata(object)
		if known, custom, unserved := types.find(object); custom && err == nil {
			if err = unserved; err == nil {
				fact.Pruned, err = known.admit(object)
			}
		}
		if err != nil {
			fact.By, fact.Refused = "API server", err.Error()
			in.facts = append(in.facts, fact)
			continue
		}
		if !types.convert(object) {
			continue
		}
		if created := object.GetCreationTimestamp(); created.IsZero() {
			object.SetCreationTimestamp(metav1.NewTime(firstCreation.Add(time.Duration(index) * time.Second)))
		}
		kind := object.GroupVersionKind()
		if schema, istio := collections.Istio.FindByGroupKind(resource.FromKubernetesGVK(&kind)); istio {
			in.addIstio(schema, object, domain, &fact)
		} else {
			in.addOther(strict, object, &fact)
		}
		if fact.Refused != "" || len(fact.Pruned) > 0 || fact.Warning != "" {
			in.facts = append(in.facts, fact)
		}
	}
	return in
}

// checkMetadata says what the API server refuses of an object's metadata. A name that is missing is somebody else's to give.
func checkMetadata(object *unstructured.Unstructured) error {
	read, _, err := objectmeta.GetObjectMeta(object.Object, false)
	if err != nil || read == nil {
		return err
	}
	if read.Name == "" {
		read.Name = "unnamed"
	}
	named := validation.NameIsDNSSubdomain
	if kind := object.GetKind(); kind == "Service" || kind == "Namespace" {
		named = validation.NameIsDNSLabel
	}
	return validation.ValidateObjectMetaAccessor(read, !clusterWide(object), named, field.NewPath("metadata")).ToAggregate()
}

func (in *admission) addIstio(schema resource.Schema, object *unstructured.Unstructured, domain string, fact *objectFact) {
	text, _ := json.Marshal(object.Object)
	read := crd.IstioKind{}
	err := json.Unmarshal(text, &read)
	var made *config.Config
	if err == nil {
		made, err = crd.ConvertObject(schema, &read, domain)
	}
	if err == nil {
		warning, refusal := schema.ValidateConfig(*made)
		if warning != nil {
			fact.Warning = warning.Error()
		}
		err = refusal
	}
	if err != nil {
		fact.By, fact.Refused = "webhook", err.Error()
		return
	}
	in.configs = append(in.configs, *made)
}

func (in *admission) addOther(strict kruntime.Decoder, object *unstructured.Unstructured, fact *objectFact) {
	text, _ := json.Marshal(object.Object)
	read, _, err := strict.Decode(text, nil, nil)
	if kruntime.IsStrictDecodingError(err) { // the API server drops what it does not know
		fact.Warning = err.Error()
		read, _, err = kubelib.IstioCodec.UniversalDeserializer().Decode(text, nil, nil)
	}
	if err != nil {
		fact.By, fact.Refused = "API server", err.Error()
		return
	}
	if statusKinds[object.GetKind()] {
		in.routed = append(in.routed, statusKey(object.GetKind(), object.GetNamespace(), object.GetName()))
	}
	in.objects = append(in.objects, read)
}

func clusterWide(object *unstructured.Unstructured) bool {
	switch object.GetKind() {
	case "Namespace", "GatewayClass", "Node":
		return true
	}
	return false
}
