// Package cf reads the files that Postfix's tables of databases are described
// by (mysql_table(5), pgsql_table(5), sqlite_table(5), ldap_table(5)), and has
// what these tables have in common: a client that follows its file, queries and
// results with %u and the like, the filter `domain`, the limit of a result.
//
// Invariants:
//   - A key that lacks a part that the query needs is not there: nothing is
//     asked.
//   - Values are handed out apart from the text of a query; whoever puts them
//     together escapes them.
//   - No error text holds a password.
//
// Reading order: file.go (File), table.go (Kind and its Client), template.go
// (%u), domains.go (the filter), result.go (values of rows into one).
package cf
