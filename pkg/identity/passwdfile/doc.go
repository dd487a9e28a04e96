// Package passwdfile reads and edits Dovecot's passwd-file, one user a line:
//
//	user:password:uid:gid:gecos:home:shell:extra fields
//
// docs/formats/passwd-file.md is the reference.
//
// Invariants: a file that cannot be read makes every lookup a temporary
// failure, never "no such user", and so does a line that names a user and is
// wrong otherwise; readers see the file before or after an edit, never between;
// an edit keeps comments, order and all fields it does not concern; two editors
// exclude each other.
//
// Reading order: entry.go (one line), parse.go (a file), file.go (reloading),
// edit.go (changes), db.go (a file as a database is configured).
package passwdfile
