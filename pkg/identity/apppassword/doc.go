// Package apppassword is what app passwords look like: passwords for one device
// and few services each, made by us, so that a lost phone costs one of them
// and not the password.
//
// Invariants: every app password has 100 random bits; it is kept as a salted
// digest; comparisons take constant time.
//
// Reading order: apppassword.go (the text and its digest), scope.go (the
// services).
package apppassword
