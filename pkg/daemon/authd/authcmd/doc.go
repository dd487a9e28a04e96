// Package authcmd is authd's command line: verbs for operators that work on
// the users (package usercmd) or ask the running daemon.
//
// Invariants: a password is never an argument and never printed; exit codes
// follow package service.
//
// Reading order: commands.go (the list), password.go (how a password is read),
// then one file for each command.
package authcmd
