// Package dovecotauth is the wire form of Dovecot's two authentication
// protocols: lines of TAB-separated, \x01-escaped fields. It knows no users and
// no policy.
//
// Invariants: a line never exceeds MaxLine bytes nor MaxParams parameters;
// whatever AppendLine wrote, Parse gives back; no input makes Parse panic.
//
// Reading order: codec.go (lines and escapes), reader.go, fields.go (key=value
// parameters), mech.go (the MECH line). Each side has a package of its own:
//
//	authclient    asks "is this password right" (mtad, the login role)
//	userdbclient  asks "who is this", redeems logins (deliverd, imapd, mtad)
//	authserver    answers both (authd)
package dovecotauth
