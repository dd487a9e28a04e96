// Package feed tells those who follow an account what changes in its folders,
// open or not.
//
// Invariants:
//   - Whoever does not follow costs nothing: an account that nobody follows
//     works out no event and looks at no folder.
//   - An event says that something has changed, never what it is now: who is
//     told looks. It may come twice, it is never missing.
//   - Telling does not wait. What is told is told with locks held.
//   - Folders that nobody has open are looked at only so many at a time.
//
// Files in reading order: feed.go, patrol.go (changes by other programs).
package feed
