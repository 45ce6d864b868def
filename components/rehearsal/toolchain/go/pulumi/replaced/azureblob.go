// Package azureblob has no driver for azblob://: a rehearsal's state lies in a folder.
package azureblob

import (
	"context"
	"errors"
	"net/url"

	"gocloud.dev/blob"
)

// Scheme is that of Azure's storage.
const Scheme = "azblob"

// ServiceURLOptions is nothing.
type ServiceURLOptions struct{}

// NewDefaultServiceURLOptions returns nothing.
func NewDefaultServiceURLOptions() *ServiceURLOptions { return &ServiceURLOptions{} }

// NewDefaultClient makes nothing.
func NewDefaultClient() {}

// URLOpener opens nothing.
type URLOpener struct {
	MakeClient        func()
	ServiceURLOptions ServiceURLOptions
}

// OpenBucketURL refuses.
func (*URLOpener) OpenBucketURL(context.Context, *url.URL) (*blob.Bucket, error) {
	return nil, errors.New("the rehearsal's build of pulumi keeps no state in Azure's storage")
}
