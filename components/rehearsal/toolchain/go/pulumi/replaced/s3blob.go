// Package s3blob has no driver for s3://: a rehearsal's state lies in a folder.
package s3blob
