//go:build interop

package interop

import (
	"fmt"
	"strings"
)

// searchCommands are what both servers are asked.
func searchCommands() (all []string) {
	for _, k := range searchKeys() {
		all = append(all, "SEARCH "+k, "UID SEARCH RETURN (ALL COUNT MIN MAX) "+k)
	}
	for _, by := range sortPrograms() {
		all = append(all, "SORT ("+by+") UTF-8 ALL", "UID SORT RETURN (ALL COUNT MIN MAX) ("+by+") UTF-8 NOT DELETED")
	}
	for _, alg := range []string{"ORDEREDSUBJECT", "REFERENCES", "REFS"} {
		if alg == "ORDEREDSUBJECT" {
			continue // Dovecot has it not
		}
		for _, k := range []string{"ALL", "1:10", "NOT SUBJECT plans", "SENTSINCE 5-Feb-2026", "UNSEEN", "FROM x", "NOT 3:12", "SUBJECT plans"} {
			all = append(all, "THREAD "+alg+" UTF-8 "+k, "UID THREAD "+alg+" US-ASCII "+k)
		}
	}
	return append(all, saveCommands()...)
}

func literal(s string) string { return fmt.Sprintf("{%d+}\r\n%s", len(s), s) }

func searchKeys() []string {
	keys := []string{
		"ALL", "1", "1:5,7", "*", "*:3", "UID 2:9", "UID 9999", "UID *", "NOT 1:20", "NOT UID 5:*", "99", "1:99",
		"ANSWERED", "UNANSWERED", "DELETED", "UNDELETED", "DRAFT", "UNDRAFT", "FLAGGED", "UNFLAGGED", "SEEN", "UNSEEN",
		"KEYWORD work", "KEYWORD WORK", "UNKEYWORD $Junk", "KEYWORD nothing", "KEYWORD \\Seen",
		"BEFORE 5-Mar-2026", "ON 5-Mar-2026", "SINCE 5-Mar-2026", "SINCE \"10-Mar-2026\"",
		"SENTBEFORE 6-Feb-2026", "SENTON 2-Feb-2026", "SENTON 3-Feb-2026", "SENTSINCE 12-Feb-2026", "SENTON 12-Feb-2026", "SENTON 5-Feb-2026",
		"LARGER 200", "SMALLER 200", "LARGER 0", "SMALLER 1", "LARGER 4000",
		"OLDER 1", "YOUNGER 1", "YOUNGER 4294967295",
		"FROM alice", "FROM x", "FROM \"\"", "TO bob", "TO friends", "TO b@x", "TO second", "CC carol", "BCC secret", "FROM \"Carol, C\"", "FROM comment",
		"SUBJECT plans", "SUBJECT \"re: plans\"", "SUBJECT PLANS", "SUBJECT \"\"", "SUBJECT second", "SUBJECT \"folded subject\"", "SUBJECT broken",
		"HEADER X-Mark yes", "HEADER X-Mark \"\"", "HEADER X-Empty \"\"", "HEADER X-None \"\"", "HEADER Message-ID 1@x", "HEADER References <1@x>",
		"HEADER Date nonsense", "HEADER Content-Type koi8", "HEADER Reply-To other", "HEADER Subject loop",
		"BODY meet", "BODY MEET", "BODY \"first part\"", "BODY hidden", "BODY preamble", "BODY epilogue", "BODY inner", "BODY \"cafe\"",
		"BODY \"lines and\"", "BODY \"across lines\"", "BODY words", "BODY zzz", "BODY \"\"",
		"TEXT plans", "TEXT alice", "TEXT inner", "TEXT koi8-r", "TEXT \"X-Mark\"", "TEXT quoted-printable", "TEXT zzz", "TEXT \"x-mark: yes\"",
		"OR SEEN FLAGGED", "OR OR SEEN FLAGGED DELETED", "OR SUBJECT plans OR SUBJECT budget BODY loop", "NOT NOT SEEN", "NOT (SEEN KEYWORD $Junk)",
		"(1:10 (SEEN (SUBJECT plans)))", "OR (1:3) (UID 5:6)", "SEEN UNSEEN", "NOT ALL", "OR 1 NOT 1", "ALL ALL ALL",
		"CHARSET US-ASCII SUBJECT plans", "CHARSET UTF-8 FROM alice",
		// Mistakes.
		"", "BOGUS", "NOT", "OR SEEN", "()", "(SEEN", "0", "SINCE yesterday", "SINCE 31-Feb-2026", "LARGER x", "LARGER -1", "KEYWORD", "UID", "UID x",
		"HEADER X", "OLDER 0", "CHARSET KLINGON ALL", "CHARSET", "$,1",
	}
	for _, text := range []string{"grüße", "GRÜSSE", "köln", "КÖLN", "привет", "ПРИВЕТ", "straße", "STRASSE", "ärger", "café", "kühl", "ǆ", "Å", "éclair", "e", "мир", "jürgen", "é", "ë"} {
		for _, key := range []string{"SUBJECT", "BODY", "TEXT"} {
			keys = append(keys, "CHARSET UTF-8 "+key+" "+literal(text))
		}
	}
	return append(keys,
		"CHARSET KOI8-R BODY "+literal("\xf0\xf2\xe9\xf7\xe5\xf4"), "CHARSET ISO-8859-1 SUBJECT "+literal("gr\xfc\xdfe"), "CHARSET utf-8 FROM "+literal("JÜRGEN"))
}

func sortPrograms() []string {
	one := []string{"ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"}
	all := []string{"SUBJECT DATE", "FROM REVERSE DATE", "REVERSE SUBJECT REVERSE DATE", "TO CC SIZE", "REVERSE DISPLAYFROM ARRIVAL", "CC REVERSE SIZE", "", "BOGUS", "REVERSE", "REVERSE REVERSE DATE"}
	for _, k := range one {
		all = append(all, k, "REVERSE "+k)
	}
	return all
}

// saveCommands use "$".
func saveCommands() []string {
	return strings.Split(`SEARCH $
SEARCH RETURN (SAVE) SEEN
SEARCH $
UID SEARCH UID $
SEARCH RETURN (COUNT) $ SUBJECT plans
SEARCH RETURN (SAVE MIN) SEEN
SEARCH $
SEARCH RETURN (SAVE MAX) SEEN
SEARCH $
SEARCH RETURN (SAVE MIN MAX) SEEN
SEARCH $
SEARCH RETURN (SAVE MIN MAX COUNT) SEEN
SEARCH $
SEARCH RETURN (SAVE ALL) NOT $
SEARCH OR $ 2
UID SORT RETURN (ALL) (DATE) UTF-8 $
THREAD REFERENCES UTF-8 $
SEARCH RETURN (SAVE) SUBJECT nowhere
SEARCH $
SEARCH NOT $
SORT RETURN (COUNT) (DATE) UTF-8 $`, "\n")
}

// knownInOdd lists what Dovecot answers otherwise about the odd messages.
func knownInOdd() map[string]string {
	known := map[string]string{}
	for key, why := range map[string]string{
		"KEYWORD \\Seen":        "no keyword by the grammar; we take it for the flag, Dovecot for a keyword that nothing has",
		"FROM comment":          "Dovecot looks at the addresses without the comments in them, we at the field",
		"SENTBEFORE 6-Feb-2026": "Dovecot takes a message without a date for one of 1970",
		"SINCE 31-Feb-2026":     "there is no such day",
	} {
		for _, c := range both(key) {
			known[c] = why
		}
	}
	for _, c := range []string{"SORT (REVERSE REVERSE DATE) UTF-8 ALL", "UID SORT RETURN (ALL COUNT MIN MAX) (REVERSE REVERSE DATE) UTF-8 NOT DELETED"} {
		known[c] = "the grammar of RFC 5256 has one REVERSE"
	}
	return known
}

func both(key string) []string {
	return []string{"SEARCH " + key, "UID SEARCH RETURN (ALL COUNT MIN MAX) " + key}
}

// brokenCommands are about what is wrong with the broken messages.
func brokenCommands() []string {
	return []string{
		"SEARCH SUBJECT x", "SEARCH SENTON 12-Feb-2026", "SEARCH SENTON 11-Feb-2026", "SEARCH BODY is", "SEARCH FROM x", "SEARCH HEADER From x",
		"SEARCH CHARSET UTF-8 SUBJECT " + literal("Å"), "SEARCH CHARSET UTF-8 SUBJECT " + literal("\u212b"), "SEARCH CHARSET UTF-8 SUBJECT " + literal("\u01c5"),
		"SEARCH CHARSET UTF-8 SUBJECT " + literal("\u01c4"), "SEARCH TEXT header", "SEARCH BODY header",
		"SORT (SUBJECT) UTF-8 ALL", "SORT (DATE) UTF-8 ALL", "SORT (FROM) UTF-8 ALL", "SORT (DISPLAYFROM) UTF-8 ALL", "SORT (ARRIVAL) UTF-8 ALL",
		"THREAD REFERENCES UTF-8 ALL", "THREAD REFS UTF-8 ALL",
	}
}

// knownInBroken lists what Dovecot answers otherwise about the broken ones.
func knownInBroken() map[string]string {
	const (
		noAddress = "Dovecot has MISSING_MAILBOX@MISSING_DOMAIN for an address that is none"
		noTime    = "a time that is none is 00:00:00, a zone that is none is UTC (RFC 5256 section 2.2)"
		oneStep   = "RFC 5051 section 2 decomposes what comes of a decomposition; Dovecot stops after one step"
	)
	return map[string]string{
		"SEARCH SUBJECT x":                             "in a charset that nobody knows we look at the bytes (RFC 5255 section 4.6), Dovecot at nothing",
		"SEARCH SENTON 12-Feb-2026":                    noTime,
		"SORT (DATE) UTF-8 ALL":                        noTime,
		"THREAD REFERENCES UTF-8 ALL":                  noTime,
		"SEARCH FROM x":                                noAddress,
		"SORT (FROM) UTF-8 ALL":                        noAddress,
		"SORT (DISPLAYFROM) UTF-8 ALL":                 noAddress,
		"SEARCH TEXT header":                           "a line in the header that is no field is not searched here",
		"SORT (SUBJECT) UTF-8 ALL":                     "what cannot be converted is sorted last (RFC 5255 section 4.6); and " + oneStep,
		"SEARCH CHARSET UTF-8 SUBJECT " + literal("Å"): oneStep,
	}
}
