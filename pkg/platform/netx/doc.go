// Package netx opens listeners, admits connections and moves descriptors.
//
// Duty: everything about sockets that each daemon would otherwise do a little
// differently: addresses in one grammar, inherited descriptors, the owner and
// mode of Unix sockets, who the peer is, how many connections it may have,
// what happens at shutdown and in a panic, and frames that carry a descriptor.
//
// Invariants:
//   - Nobody can connect to a Unix socket before its group and mode are set.
//   - A socket file is removed only if nobody listens on it, and on Close only
//     if it is the one that was made here.
//   - A connection never outlives Server.Serve, and a panic in its handler
//     ends that connection only.
//   - A received descriptor is close-on-exec and not blocking, and is closed on every path that
//     returns an error.
//
// Files in reading order: listen.go, inherit.go, unix.go, peer.go, server.go,
// crew.go, accept.go, tally.go, conn.go, wait.go, frame.go, stream.go, proxy.go, asker.go.
package netx
