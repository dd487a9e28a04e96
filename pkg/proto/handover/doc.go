// Package handover is how imapd's login role gives a connection to its
// session role: one packet with one descriptor, and one packet back.
//
// Duty: the wire form of both packets, and nothing about who may log in.
//
// Invariants:
//   - The frame holds no user name. What proves the login is the triple of
//     client pid, request id and cookie, which the session role redeems at
//     authd, or authd's answer to that, which only the session role can open;
//     all else in the frame is for logs and for going on with the
//     protocol, and a lie in it gains nothing.
//   - Every length is capped, there is one encoding of each frame (what Parse
//     accepts, Append writes again byte for byte), and another version is an
//     error of kind Invalid.
//   - The descriptor is a connected stream socket: the client's own when it
//     is not encrypted, else the far end of the login role's TLS pump.
//   - Until it has answered that it took the frame, the session role writes
//     nothing to the descriptor; after that the login role writes nothing.
//
// The bytes are described in docs/formats/handover.md.
//
// Files in reading order: frame.go, codec.go, link.go, links.go, back.go.
package handover
