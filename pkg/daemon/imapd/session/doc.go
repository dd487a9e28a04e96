// Package session is imapd's session role: it takes connections that the
// login role hands over, learns from authd who they belong to, and serves the
// mail.
//
// Invariants:
//   - It never believes a user name from the login role. A frame points at a
//     login, which is redeemed once at authd's master socket; the answer says
//     who it is and where the mail lies.
//   - It holds no TLS key and no password, and opens no Internet socket.
//   - Hints from deliverd only say where to look.
//   - A session that ends gives everything back; the last session of a user
//     flushes and, after a while, gives the account's lock back.
//
// Files in reading order: config.go, role.go (start and stop), takeover.go
// (one frame to one session), serve.go (the engines), hints.go, register.go (who is here), verbs.go, commands.go;
// adapter_*.go show the store to the engines;
// events.go, metrics.go.
package session
