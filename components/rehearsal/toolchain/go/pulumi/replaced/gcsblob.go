// Package gcsblob names the scheme that this build has no driver for.
package gcsblob

// Scheme is that of Google's storage.
const Scheme = "gs"
