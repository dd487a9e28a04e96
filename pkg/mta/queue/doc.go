// Package queue keeps accepted mail until every recipient has it or the
// sender has been told why not.
//
// It has two parts: the spool (package spool: files, see
// docs/formats/queue.md) and the scheduler here, which decides in memory what
// is tried next. Where mail goes, how it is sent and what a notification says
// is asked of three consumers: Router, Deliverer and Bouncer.
//
// Invariants:
//   - Message.Commit returns nil only when a power failure can no longer lose
//     the message; after an error the message will not be delivered.
//   - A recipient is final only after its result is recorded; a message goes
//     away only after all recipients are final and the notification, if one
//     is due, is durable in the queue itself.
//   - A crash can repeat a delivery (results are synced within SyncInterval,
//     not at once) but never lose one.
//   - Nothing is ever sent to the null sender.
//   - A destination that is down delays its own mail only.
//   - A clock that is set back delays nothing by more than MaxBackoff.
//   - No body is in memory while it waits; a deferred recipient costs at most
//     400 bytes.
//
// Crash points besides those of package spool: queue.bounce.committed (the
// notification is durable, the original does not know it yet), queue.removed
// (a message has left, which is not durable yet).
//
// Files in reading order: api.go (values), consumer.go (what the queue asks
// of others), settings.go, queue.go (open, run, close), message.go
// (submission and content), then the scheduler: sched.go (places of a
// message), due.go, intake.go, dest.go, dispatch.go, finish.go; admin.go and
// list.go for operators, metrics.go.
package queue
