// Package sqltable is Postfix's tables mysql, pgsql and sqlite, described by
// the files that Postfix has for them.
//
// Invariants:
//   - Parts of a key travel as parameters of a prepared statement.
//   - Files that name the same database share its connections.
//   - A file that was changed counts from then on; what is being asked ends
//     with the old one.
//
// Reading order: config.go (hosts and login), query.go (the statement),
// table.go (Driver), pools.go.
package sqltable
