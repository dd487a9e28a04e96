// Package sqldb looks up passwords and users in SQL databases, with the
// queries of Dovecot's dovecot-sql.conf.ext.
//
// Invariants: what a peer sent reaches a database only as a parameter, never
// in the text of a statement; two rows for one user, a value that is no plain
// text and a query that fails are outages, never a refusal and never "no such
// user", which only an empty answer means; a user's stored password is in no
// error text.
//
// Reading order: config.go (QueryConfig), query.go (templates to statements),
// databases.go (Databases: pools by name), fields.go (rows to fields),
// passdb.go, userdb.go, domains.go, addresses.go, dovecot.go and connect.go (Dovecot's own
// file). The connections are package sqlpool's.
package sqldb
