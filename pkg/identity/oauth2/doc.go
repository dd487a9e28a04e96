// Package oauth2 checks bearer tokens of XOAUTH2 and OAUTHBEARER (RFC 6750,
// RFC 7628).
//
// Duty: token introspection (RFC 7662) and tokeninfo as Dovecot asks for them,
// local validation of signed tokens (RFC 7519, 9068) with keys from a file, a
// URL or OpenID discovery, and fields from claims.
//
// Invariants:
//   - Only a token that somebody vouches for now is a success: a signature by a
//     configured issuer's key and with a listed algorithm, or the word of the
//     configured server. Keys, algorithms and addresses never come from the
//     token; key ids are compared, not used.
//   - A user that the client named is the one the token is for, or nobody.
//   - A server that cannot be asked, or says what it should not, is an outage.
//     A token that is not valid is a refusal.
//   - Nothing is sent in the clear or to a server that cannot prove its name,
//     unless configured; redirects are not followed.
//   - Tokens are in no log and no error.
//   - Sizes, times and the number of requests under way are bounded; unknown
//     key ids do not make keys be fetched more often than twice a minute.
//
// Reading order: config.go, oauth2.go (DB), claims.go (checks and fields),
// remote.go (introspection), jwt.go (local validation), keys.go (key sets),
// discovery.go, cached.go, client.go (HTTP).
package oauth2
