// Package redis is a throttle.Store in Redis, for several nodes that should
// know of each other's failures.
//
// Keys are PREFIX:try:KEY (a sorted set of fingerprints by time) and
// PREFIX:friend:KEY (a sorted set of addresses by time); both expire by
// themselves. Fingerprints are keyed digests, useless without the nodes'
// common key.
//
// Invariants: a request takes at most the configured time; while Redis does
// not answer, the node's own memory serves, and Redis is not asked again for a
// moment, so that an outage costs no login more than one time-out.
//
// Reading order: redis.go, fallback.go.
package redis
