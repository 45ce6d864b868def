package main

import (
	"fmt"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/envoyproxy/protoc-gen-validate/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// refusal says why Envoy would refuse a message: by the constraints that its API declares, and by what its route
// configuration checks beyond them. Empty when it would take it. Nested messages of unknown type are not looked into.
func refusal(message proto.Message) string {
	if reason := broken(message.ProtoReflect()); reason != "" {
		return reason
	}
	if routes, ok := message.(*routev3.RouteConfiguration); ok {
		return refusedMutation(routes)
	}
	return ""
}

// broken returns the first breach of the declared constraints that istiod's objects and patches can bring about:
// something required is missing, or too short.
func broken(message protoreflect.Message) string {
	descriptor := message.Descriptor()
	for index := 0; index < descriptor.Oneofs().Len(); index++ {
		choice := descriptor.Oneofs().Get(index)
		required, _ := proto.GetExtension(choice.Options(), validate.E_Required).(bool)
		if required && message.WhichOneof(choice) == nil {
			return fmt.Sprintf("%s: %s is missing", descriptor.Name(), choice.Name())
		}
	}
	for index := 0; index < descriptor.Fields().Len(); index++ {
		field := descriptor.Fields().Get(index)
		if reason := brokenField(message, field); reason != "" {
			return fmt.Sprintf("%s.%s: %s", descriptor.Name(), field.Name(), reason)
		}
	}
	return nested(message)
}

func brokenField(message protoreflect.Message, field protoreflect.FieldDescriptor) string {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Rules).(*validate.FieldRules)
	if rules == nil || field.ContainingOneof() != nil && !message.Has(field) {
		return ""
	}
	if rules.GetMessage().GetRequired() && !message.Has(field) {
		return "is missing"
	}
	if least := rules.GetRepeated().GetMinItems(); field.IsList() && uint64(message.Get(field).List().Len()) < least {
		return fmt.Sprintf("has fewer than %d entries", least)
	}
	if text := rules.GetString_(); text != nil && field.Kind() == protoreflect.StringKind && !field.IsList() {
		if given := message.Get(field).String(); uint64(len([]rune(given))) < text.GetMinLen() {
			return "is empty"
		}
	}
	return ""
}

func nested(message protoreflect.Message) string {
	reason := ""
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Kind() != protoreflect.MessageKind:
		case field.IsMap():
			if field.MapValue().Kind() == protoreflect.MessageKind {
				value.Map().Range(func(_ protoreflect.MapKey, each protoreflect.Value) bool {
					reason = broken(each.Message())
					return reason == ""
				})
			}
		case field.IsList():
			for index := 0; reason == "" && index < value.List().Len(); index++ {
				reason = broken(value.List().Get(index).Message())
			}
		default:
			reason = broken(value.Message())
		}
		return reason == ""
	})
	return reason
}

// refusedMutation finds changes of a copy's headers that Envoy does not allow. Removal of `host` it takes.
func refusedMutation(routes *routev3.RouteConfiguration) string {
	for _, host := range routes.GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			for _, policy := range route.GetRoute().GetRequestMirrorPolicies() {
				for _, mutation := range policy.GetRequestHeadersMutations() {
					written := strings.ToLower(mutation.GetAppend().GetHeader().GetKey())
					if strings.HasPrefix(mutation.GetRemove(), ":") || strings.HasPrefix(written, ":") || written == "host" {
						return fmt.Sprintf("route %s changes the authority of a copy", route.GetName())
					}
				}
			}
		}
	}
	return ""
}
