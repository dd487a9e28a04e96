// Package pattern is Postfix's tables of patterns: regexp, pcre and cidr.
//
// Invariants:
//   - The first rule that matches answers.
//   - A pattern means what it means to Postfix's libraries. It is translated
//     for Go's engine, whose time is linear; what that engine lacks
//     (look-around, back references, atomic groups) goes to a backtracking
//     one, whose time is cut off, and a match that is cut off is an error.
//     What neither has is a problem that names the line and the construct.
//   - Keys and rules have caps.
//
// Reading order: rules.go (the file), result.go ($1), emit.go (both engines'
// languages), perl.go, perlgroup.go and class.go (PCRE), posix.go (regexp),
// engine.go (matching), cidr.go.
package pattern
