// Package authd is the authentication daemon: it joins the protocols
// (dovecotauth, sasl, a read-only socketmap) to the trade of knowing who
// somebody is (identity).
//
// Invariants: passwords and hashes leave this process by no socket; what a
// socket may be asked depends on its type alone, who may ask on its owner,
// mode and `allow`; a users file that cannot be read is an outage for
// everybody and a refusal for nobody; a reload ends no connection.
//
// Reading order: app.go (start, listeners), peer.go (who asks), state.go (what a
// reload replaces), backend.go (logins), directory.go (lookups), socketmap.go and netstring.go,
// events.go, metrics.go. The configuration is in authconf, the commands are in
// authcmd.
package authd
