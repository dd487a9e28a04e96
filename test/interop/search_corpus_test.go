//go:build interop

package interop

import "strings"

// oddMail is the corpus. Lines end in LF here.
func oddMail() []string {
	mails := []string{
		letterOf("From: Alice <alice@example.org>\nTo: Bob <bob@example.org>\nSubject: Plans\nDate: Sun, 1 Feb 2026 10:00:00 +0000\nMessage-ID: <1@x>", "Let us meet."),
		letterOf("From: bob@example.org\nTo: alice@example.org\nCc: Carol <carol@x>\nSubject: Re: Plans\nDate: Sun, 1 Feb 2026 11:00:00 +0000\nMessage-ID: <2@x>\nIn-Reply-To: <1@x>\nReferences: <1@x>", "Yes, let us."),
		letterOf("From: \"Carol, C\" <carol@x>\nSubject: RE: re: [list] plans (fwd)\nDate: Sun, 1 Feb 2026 06:30:00 -0500\nMessage-ID: <3@x>\nReferences: <1@x> <2@x>", "me too"),
		letterOf("From: =?utf-8?q?J=C3=BCrgen?= <jw@x>\nTo: friends: a@x, b@x;\nSubject: =?iso-8859-1?q?Gr=FC=DFe_aus_K=F6ln?=\nDate: Mon, 2 Feb 2026 23:59:59 -0800\nMessage-ID: <4@x>", "Alaaf"),
		letterOf("From: juergen@x\nSubject: =?utf-8?b?R1LDnMOfRQ==?= AUS =?utf-8?q?K=C3=96LN?=\nDate: Tue, 3 Feb 2026 00:00:01 +0900\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable", "Stra=C3=9Fe, =C3=84rger, caf=C3=A9=\n haus"),
		letterOf("From: ivan@x\nSubject: =?koi8-r?b?8NLJ18XU?=\nContent-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\nDate: 4 Feb 2026 08:00 GMT", "8NLJ18XULCDtydIh"),
		letterOf("Subject: no from, no date\nMessage-ID: <7@x>\nReferences: <6@x>", "x"),
		letterOf("From: a@x\nDate: nonsense\nMessage-ID: <8@x>\nReferences: <6@x>", "no subject at all"),
		letterOf("From: a@x\nSubject:\nDate: Thu, 5 Feb 2026 08:00:00 EST\nMessage-ID: <9@x>", "empty subject"),
		letterOf("From: a@x\nSubject: Re:\nDate: Thu, 5 Feb 2026 08:00:00 XYZ\nMessage-ID: <9@x>", "the same id"),
		letterOf("From: b@x\nSubject: Budget\nDate: Fri, 6 Feb 2026 07:00:00 +0000\nMessage-ID: <12@x>\nReferences: <11@x>", "budget"),
		letterOf("From: c@x\nSubject: [a] [b] budget\nDate: Fri, 6 Feb 2026 09:00:00 +0000\nMessage-ID: <13@x>\nIn-Reply-To: Your message <12@x> of today <99@x>", "budget"),
		letterOf("From: d@x\nSubject: [only a blob]\nDate: Sat, 7 Feb 2026 09:00:00 +0000\nMessage-ID: <14@x>\nReferences: <15@x>", "loop"),
		letterOf("From: e@x\nSubject: loop\nDate: Sat, 7 Feb 2026 10:00:00 +0000\nMessage-ID: <15@x>\nReferences: <14@x>", "loop"),
		letterOf("From: f@x\nSubject: several parts\nDate: Sat, 7 Feb 2026 11:00:00 +0000\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\nMessage-ID: <16@x>", "preamble words\n--b\nContent-Type: text/plain\n\nfirst part\n--b\nContent-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n<p>zweiter=20Teil: K=FChl</p>\n--b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\naGlkZGVuIGJpbmFyeQ==\n--b--\nepilogue words"),
		letterOf("From: g@x\nSubject: a message inside\nDate: Sun, 8 Feb 2026 11:00:00 +0000\nContent-Type: message/rfc822\nMIME-Version: 1.0", "From: inner@x\nSubject: inner subject\nContent-Type: text/plain\n\ninner body"),
		letterOf("From: h@x\nTo: two@x,\n\tthree@x\nSubject: folded\n subject\tline\nDate: Sun, 8 Feb 2026\n 12:00:00 +0000\nX-Empty:\nX-Mark: yes", "folded"),
		letterOf("From: i@x\nSubject: twice\nSubject: second subject\nTo: first@x\nTo: second@x\nDate: Mon, 9 Feb 2026 12:00:00 +0000", "doubled fields"),
		letterOf("From: (a comment) k@x (K)\nSender: real@x\nReply-To: other@x\nBcc: secret@x\nSubject: Fwd: plans\nDate: Tue, 10 Feb 2026 12:00:00 +0000\nMessage-ID: <21@x>", "comments"),
		letterOf("From: l@x\nSubject: Re: [Fwd: plans]\nDate: Tue, 10 Feb 2026 12:00:00 +0000\nMessage-ID: <22@x>\nReferences: <missing1@x> <missing2@x>", "dummy parents"),
		letterOf("From: m@x\nSubject: other child\nDate: Tue, 10 Feb 2026 11:00:00 +0000\nMessage-ID: <23@x>\nReferences: <missing1@x> <missing3@x>", "dummy parents"),
		letterOf("From: n@x\nSubject: \nReferences: <23@x>\nDate: Wed, 11 Feb 2026 12:00:00 +0000\nMessage-ID: <24@x>", "grandchild"),
		letterOf("From: \"quoted \\\"name\\\"\" <q@x>\nSubject: \"quotes\" \\ and backslash\nDate: Wed, 11 Feb 2026 12:00:03 +0000", "\"quotes\" \\"),
		letterOf("From: o@x\nSubject: Reply to something\nDate: Thu, 12 Feb 26 12:00:00 +0000", "not a reply"),
		letterOf("From: UPPER@x\nSubject: ZEBRA\nDate: Fri, 13 Feb 2026 12:00:00 +0000\nMessage-ID: <32@x>", "x"),
		letterOf("From: lower@x\nSubject: zebra\nDate: Fri, 13 Feb 2026 11:00:00 +0000\nMessage-ID: <33@x>", "y"),
		letterOf("From: lower@x\nSubject: apple\nDate: Fri, 13 Feb 2026 11:00:00 +0000\nMessage-ID: <34@x>\nReferences: <33@x> <32@x> <33@x>", "z"),
		letterOf("From: r@x\nSubject: =?utf-8?q?=C3=A9clair?=\nDate: Sat, 14 Feb 2026 11:00:00 +0000", strings.Repeat("long line of words ", 300)),
		letterOf("From: s@x\nSubject: ecru\nDate: Sat, 14 Feb 2026 11:00:00 +0000", "across\nlines and   spaces"),
	}
	return append(mails, "\n", "Subject: header only\n")
}

// brokenMail is what Dovecot reads otherwise than the RFCs say, or than we do.
func brokenMail() []string {
	return []string{
		letterOf("From: <>\nTo: undisclosed-recipients:;\nSubject: [fwd: [fwd: Budget (fwd)]]\nDate: Fri, 6 Feb 2026 08:00:00 +0000\nMessage-ID: <\"11\"@x>", "budget"),
		letterOf("From: j@x\nSubject: =?utf-8?q?broken=ZZ?= =?nocharset?q?x=E9?= =?utf-8?q?unterminated\nDate: Mon, 9 Feb 2026 12:00:00 +0000", "broken words"),
		letterOf("From: n@x\nSubject: \u01c6 in UTF-8 \u212b\nDate: Wed, 11 Feb 2026 12:00:01 +0000", "raw UTF-8 in a header"),
		letterOf("From: Zo\xeb <zoe@x>\nSubject: raw latin \xe9\nDate: Wed, 11 Feb 2026 12:00:02 +0000", "raw 8-bit \xe9"),
		letterOf("From: p@x\nSubject: Re[2]: plans\nDate: 12 Feb 2026 12:00:00 +2400", "a zone that is none"),
		letterOf("From: q@x\nSubject: re : plans\nDate: 12 Feb 2026 25:61:00 +0000", "a time that is none"),
		letterOf("From: z@x\nSubject: Zebra\nDate: Wed, 11 Feb 2026 20:00:00 +0000", "fine"),
		letterOf("From: a@x\nSubject: apple\nDate: Fri, 13 Feb 2026 20:00:00 +0000", "fine"),
		"no header line at all\n",
	}
}

func letterOf(fields, body string) string { return fields + "\n\n" + body + "\n" }
