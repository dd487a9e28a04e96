// Package gate decides who may send what.
//
// A listener has a Policy: for each stage of the SMTP session a list of rules,
// as data. A rule looks at the Facts known so far and answers permit, reject,
// defer, or nothing; the first answer ends the stage.
//
// Invariants:
//   - Nothing is relayed by default: a policy without a permitting rule
//     admits mail for our own domains only (RFC 5321 section 7.1; open relay).
//   - A permit never skips the check that a local recipient exists: accepting
//     and bouncing later would be backscatter.
//   - A lookup that fails gives 451, never 550 and never "accepted".
//   - Policy sees the same parsed addr.Address that delivery uses.
//   - Texts are Postfix's, byte for byte: log parsers depend on them.
//
// Reading order: verdict.go, policy.go (stages and the built-in policies),
// rules.go (the rule table), gate.go (evaluation), listed.go (does the
// recipient exist), sender.go (may the user use this address).
package gate
