// Package rule is what chains of password and of user databases have in
// common: what comes after an answer, and which requests a database is asked
// about at all.
//
// Reading order: rule.go (Dovecot's result_*), match.go (who is asked).
package rule
