// Package program is how mtad has a program run: it connects to a helper unit
// (mtad-run@USER), says what is to be delivered to whom, sends the message, and
// hears how the program ended. The helper knows the programs; mtad names one.
//
//	mtad:   name=value lines (percent-encoded), an empty line,
//	        then the message in chunks: "<bytes in decimal>\n" and the bytes,
//	        "0\n" at the end
//	helper: "exit <number>\n" and what the program printed, until it closes
//
// Invariants:
//   - No value can begin a line of its own; names are a closed list.
//   - A message that was cut off is never taken for a whole one.
//   - Caps: a line 4 KiB, 10 000 recipients, a chunk 64 KiB, output 64 KiB.
//
// Reading order: wire.go, client.go, status.go (exit codes as enhanced status),
// forward.go (a helper that reads .forward files).
package program
