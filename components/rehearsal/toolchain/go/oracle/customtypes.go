package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kschema "k8s.io/apimachinery/pkg/runtime/schema"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
)

// customType is one version of a custom resource, as the API server judges it.
type customType struct {
	schema *structural.Structural
	check  validation.SchemaCreateValidator
	rules  *cel.Validator // of x-kubernetes-validations; nil where it has none
}

type customTypes map[kschema.GroupVersionKind]customType

// loadCustomTypes reads files of CustomResourceDefinitions.
func loadCustomTypes(files []string) (customTypes, error) {
	types := customTypes{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		documents := kyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 1<<20)
		for {
			object := &unstructured.Unstructured{}
			if err := documents.Decode(object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if object.GetKind() == "CustomResourceDefinition" {
				if err := types.add(object); err != nil {
					return nil, fmt.Errorf("%s: %s: %w", file, object.GetName(), err)
				}
			}
		}
	}
	return types, nil
}

func (types customTypes) add(object *unstructured.Unstructured) error {
	written := apiextv1.CustomResourceDefinition{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &written); err != nil {
		return err
	}
	definition := apiextensions.CustomResourceDefinition{}
	err := apiextv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&written, &definition, nil)
	if err != nil {
		return err
	}
	for _, version := range definition.Spec.Versions {
		if !version.Served {
			continue
		}
		declared := version.Schema
		if declared == nil {
			declared = definition.Spec.Validation
		}
		check, _, err := validation.NewSchemaValidator(declared.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		schema, err := structural.NewStructural(declared.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		kind := kschema.GroupVersionKind{Group: definition.Spec.Group, Version: version.Name, Kind: definition.Spec.Names.Kind}
		types[kind] = customType{schema: schema, check: check, rules: cel.NewValidator(schema, true, celconfig.PerCallLimit)}
	}
	return nil
}

// convert gives an object the version in which istiod reads its kind, as the API server does with what it serves in
// several. It returns false for what istiod reads in no version: other kinds, and versions that no server has any more.
func (types customTypes) convert(object *unstructured.Unstructured) bool {
	kind := object.GroupVersionKind()
	read, known := collections.All.FindByGroupKind(resource.FromKubernetesGVK(&kind))
	if !known || kind.Group == apiextensions.GroupName { // which definitions there are istiod's parts are told here
		return false
	}
	if _, custom := types[kind]; custom {
		kind.Version = read.Version()
		object.SetGroupVersionKind(kind)
	}
	return kind.Version == read.Version()
}

// find returns the type of an object, whether there is one, and why the API server knows no such version of its kind.
func (types customTypes) find(object *unstructured.Unstructured) (customType, bool, error) {
	wanted := object.GroupVersionKind()
	if known, custom := types[wanted]; custom {
		return known, true, nil
	}
	for kind := range types {
		if kind.GroupKind() == wanted.GroupKind() {
			return customType{}, true, fmt.Errorf("no kind %s is served in version %s", wanted.Kind, wanted.GroupVersion())
		}
	}
	return customType{}, false, nil
}

// admit prunes, completes and checks an object in the API server's order. It returns the pruned paths and the refusal.
func (known customType) admit(object *unstructured.Unstructured) (pruned []string, err error) {
	tracked := structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object.Object, known.schema, true, tracked) {
		if !strings.HasPrefix(path, "metadata.") {
			pruned = append(pruned, path)
		}
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object.Object, known.schema)
	defaulting.Default(object.Object, known.schema)
	if found := validation.ValidateCustomResource(nil, object.Object, known.check).ToAggregate(); found != nil {
		return pruned, found
	}
	if found := listtype.ValidateListSetsAndMaps(nil, known.schema, object.Object).ToAggregate(); found != nil {
		return pruned, found
	}
	if known.rules != nil {
		budget := int64(celconfig.RuntimeCELCostBudget)
		found, _ := known.rules.Validate(context.Background(), nil, known.schema, object.Object, nil, budget)
		if refusal := found.ToAggregate(); refusal != nil {
			return pruned, refusal
		}
	}
	return pruned, nil
}
