// Package index keeps what we know of one mailbox: immutable chunks of records
// in memory and on disk, an append-only log of changes, and cached wire bytes.
package index
