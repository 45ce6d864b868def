// Package s3 has the one type that Pulumi's own code names, and no client.
package s3

// CopyObjectInput is what a driver of s3:// would offer before it copies.
type CopyObjectInput struct{ CopySource *string }
