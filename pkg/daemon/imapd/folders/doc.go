// Package folders is the folders that every user has: their configuration,
// and what is removed from them by age or number when a session ends.
//
// Invariant: a message is removed by the date at which it was saved in the
// folder, never by its own date: a letter of last year that was moved to the
// trash today stays as long as any other.
//
// Files in reading order: folders.go, expire.go.
package folders
