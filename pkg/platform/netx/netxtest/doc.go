// Package netxtest helps tests with addresses.
//
// Files in reading order: port.go.
package netxtest
