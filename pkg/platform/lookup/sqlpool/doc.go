// Package sqlpool asks SQL servers: PostgreSQL, MySQL and MariaDB, SQLite. It
// keeps connections, limits them, and goes from a host that fails to another.
//
// Invariants: a statement's text comes from the configuration and values only
// ever travel as parameters of a prepared statement, never in the text; a
// connection on which anything went wrong, a cancelled query included, is
// closed and never used again; an answer is whole or it is an error; waiting
// is bounded in time and in number; a host that failed is left alone for a
// while that grows, and then tried by one request only; no error text holds a
// password or a parameter.
//
// It knows nothing of users and imports nothing of identity, so that tables
// looked up in SQL elsewhere can stand on it.
//
// Reading order: config.go (Config), address.go and tls.go (hosts), value.go
// (rows and their caps), pool.go (Pool), host.go (fail-over), run.go (one
// statement), list.go (long answers), session.go (what a driver does),
// pgsql.go, mysql.go, sqlite.go.
package sqlpool
