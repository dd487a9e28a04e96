// Package roster is what an account knows of its folders besides their
// messages: which special uses clients have given them, and what STATUS would
// say of those that are not open.
//
// Invariants:
//   - Special uses are the user's data: they lie beside the mail, in a file
//     that is replaced as a whole, and survive the loss of all indexes.
//   - Statuses are a cache. The file is written when an account is closed in
//     good order and believed by its next owner only; each entry says what its
//     folder looked like, and who uses it looks whether it still does.
//   - Both files are capped and one form of them is accepted; another is an
//     error of kind Corrupt that names the line.
//
// The bytes are described in docs/formats/roster.md.
//
// Files in reading order: uses.go, status.go.
package roster
