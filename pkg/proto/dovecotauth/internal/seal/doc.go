// Package seal makes the answer to a login's redemption a token, which travels
// with the login: who redeems it need not ask.
//
// The two ends of a connection of the master protocol share a key. The server
// seals a user's record with it, the client who sent the key opens it. In
// between the token passes through the login role, which can neither read nor
// make nor change one.
//
// Invariants: a token is opened at most once, within its time, for the login it
// was sealed for, and only by who has the key; a key lives as long as its
// connection at the sealing end.
//
// Files in reading order: seal.go, window.go.
package seal
