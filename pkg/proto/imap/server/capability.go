package server

import "strings"

// capabilityList is what a session can do after login. A name is here only
// when all of its RFC is served.
func capabilityList() []string {
	return []string{
		"IMAP4rev1",     // RFC 3501
		"LITERAL+",      // RFC 7888
		"SASL-IR",       // RFC 4959, for clients that never ask again
		"ID",            // RFC 2971
		"ENABLE",        // RFC 5161
		"IDLE",          // RFC 2177
		"NAMESPACE",     // RFC 2342
		"UIDPLUS",       // RFC 4315
		"UNSELECT",      // RFC 3691
		"CHILDREN",      // RFC 3348
		"ESEARCH",       // RFC 4731
		"LIST-EXTENDED", // RFC 5258
		"LIST-STATUS",   // RFC 5819
		"SPECIAL-USE",   // RFC 6154
		"MOVE",          // RFC 6851
	}
}

func capabilities() string { return strings.Join(capabilityList(), " ") }
