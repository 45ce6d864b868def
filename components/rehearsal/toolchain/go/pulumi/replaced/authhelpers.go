// Package authhelpers says that this build keeps no state in Google's storage: a rehearsal's lies in a folder.
package authhelpers

import (
	"context"
	"errors"

	"gocloud.dev/blob"
)

// GoogleCredentialsMux refuses.
func GoogleCredentialsMux(context.Context) (*blob.URLMux, error) {
	return nil, errors.New("the rehearsal's build of pulumi keeps no state in Google's storage")
}
