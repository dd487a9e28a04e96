// Package authtest is an auth service for tests that offers every SASL
// mechanism and knows a few passwords. It stands in for authd where a test is
// about what lies between a mail client and authd.
//
// Reading order: authtest.go.
package authtest
