package item

import (
	"encoding/binary"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestIDText(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		add  ID
		text string
	}{
		{time.Unix(0, 0), 0, "0000000000z00"},
		{time.Unix(1, 999999000), 1, "00000175plz01"},
		{time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC), 1023, "4dj7nd4q3nzN3"},
	} {
		id := IDAt(c.at) + c.add
		if id.String() != c.text {
			t.Errorf("id of %v+%d = %q, want %q", c.at, c.add, id, c.text)
		}
		back, err := ParseID(id.String())
		if err != nil || back != id {
			t.Errorf("ParseID(%q) = %d, %v; want %d", id, back, err, id)
		}
		if !id.Time().Equal(c.at) {
			t.Errorf("time of %q = %v, want %v", id, id.Time(), c.at)
		}
	}
}

func TestIDTextOrderAndAlphabet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := ID(rapid.Uint64().Draw(t, "id"))
		text := id.String()
		for _, c := range text {
			if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
				t.Fatalf("%q holds %q; log parsers want letters and digits", text, c)
			}
		}
		back, err := ParseID(text)
		if err != nil || back != id {
			t.Fatalf("ParseID(%q) = %d, %v; want %d", text, back, err, id)
		}
	})
}

func TestParseIDRejects(t *testing.T) {
	for _, s := range []string{
		"", "ALL", "0000000000z0", "00000000000z00", "0000000000a00", "a000000000z00", "0000000000z0z",
		"0000000000-00", "000000zzzzz00", "0000000000zzz", "yyyyyyyzzzzz00", "0000000000z00 ",
	} {
		if id, err := ParseID(s); !fail.Is(err, fail.Invalid) {
			t.Errorf("ParseID(%q) = %v, %v; want an Invalid error", s, id, err)
		}
	}
}

func TestNotify(t *testing.T) {
	for _, c := range []struct {
		n                       Notify
		success, failure, delay bool
		text                    string
	}{
		{0, false, true, true, ""},
		{NotifyNever, false, false, false, "NEVER"},
		{NotifySuccess, true, false, false, "SUCCESS"},
		{NotifyFailure | NotifyDelay, false, true, true, "FAILURE,DELAY"},
		{NotifySuccess | NotifyFailure | NotifyDelay, true, true, true, "SUCCESS,FAILURE,DELAY"},
		{NotifyNever | NotifyFailure, false, false, false, "NEVER"},
	} {
		if c.n.Success() != c.success || c.n.Failure() != c.failure || c.n.Delay() != c.delay || c.n.String() != c.text {
			t.Errorf("Notify(%d) = %v %v %v %q", c.n, c.n.Success(), c.n.Failure(), c.n.Delay(), c.n)
		}
	}
}

func TestParseCode(t *testing.T) {
	for s, want := range map[string]Code{
		"2.0.0": {2, 0, 0}, "4.4.1": {4, 4, 1}, "5.7.999": {5, 7, 999},
		"": {}, "3.0.0": {}, "5.1": {}, "5.1.1.1": {}, "5.1.1000": {}, "5..1": {}, "5.-1.1": {}, "55.1.1": {},
	} {
		got, ok := ParseCode(s)
		if got != want || ok != (want != Code{}) {
			t.Errorf("ParseCode(%q) = %v, %v", s, got, ok)
		}
		if ok && got.String() != s {
			t.Errorf("ParseCode(%q).String() = %q", s, got)
		}
	}
}

func TestCleanKeepsTextsPrintable(t *testing.T) {
	long := ""
	for range MaxReason {
		long += "ü"
	}
	s := State{Reason: long, Diagnostic: "550 a\r\nb\x00\xff", Remote: "mx", Next: time.Unix(9, 5), Last: time.Unix(9, 5)}
	s.Clean()
	if len(s.Reason) > MaxReason || s.Reason != long[:len(s.Reason)] || len(s.Reason) < MaxReason-2 {
		t.Errorf("reason was cut to %d bytes", len(s.Reason))
	}
	if s.Diagnostic != "550 a??b??" {
		t.Errorf("diagnostic = %q", s.Diagnostic)
	}
	if !s.Next.IsZero() || !s.Last.Equal(time.Unix(9, 0)) {
		t.Errorf("times = %v, %v", s.Last, s.Next)
	}
}

func genAddress(t *rapid.T, label string) addr.Address {
	return addr.Address{
		Local:  rapid.StringMatching(`[a-zA-Z0-9.+ é@"]{1,30}`).Draw(t, label+" local"),
		Domain: rapid.StringMatching(`([a-z0-9ü]{1,10}\.){0,3}[a-z]{2,5}`).Draw(t, label+" domain"),
	}
}

func genState(t *rapid.T) State {
	s := State{
		Status:   Status(rapid.IntRange(0, int(Expired)).Draw(t, "status")),
		Attempts: rapid.Uint16().Draw(t, "attempts"),
		Reason:   rapid.StringN(0, 200, -1).Draw(t, "reason"),
		Remote:   rapid.StringN(0, 50, -1).Draw(t, "remote"),
		Last:     time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "last"), 0),
		Next:     time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "next"), 0),
		Relayed:  rapid.Bool().Draw(t, "relayed"),
		Notified: rapid.Bool().Draw(t, "notified"),
		Code:     Code{uint16(rapid.IntRange(0, 5).Draw(t, "class")), uint16(rapid.IntRange(0, 999).Draw(t, "subject")), 9},
	}
	if rapid.Bool().Draw(t, "inside") {
		s.Diagnostic = s.Reason[len(s.Reason)/2:]
	} else {
		s.Diagnostic = rapid.StringN(0, 200, -1).Draw(t, "diagnostic")
	}
	if rapid.Bool().Draw(t, "untouched") {
		s = State{Status: s.Status}
	}
	s.Clean()
	return s
}

func TestEnvelopeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &Envelope{
			Arrival: time.Unix(0, rapid.Int64Range(1, 1<<62).Draw(t, "arrival")), Size: rapid.Int64Range(0, 1<<40).Draw(t, "size"),
			EnvID: rapid.String().Draw(t, "envid"), Return: Return(rapid.IntRange(0, 2).Draw(t, "ret")),
			SMTPUTF8: rapid.Bool().Draw(t, "utf8"), EightBit: rapid.Bool().Draw(t, "8bit"),
			RequireTLS: rapid.Bool().Draw(t, "tls"), Hold: rapid.Bool().Draw(t, "hold"),
			Client: Client{Name: "c.example", Addr: "192.0.2.1", Port: rapid.Uint16().Draw(t, "port"), Helo: rapid.String().Draw(t, "helo"), Proto: "ESMTPSA", Ident: rapid.String().Draw(t, "ident")},
			Origin: "smtpd", SASLUser: rapid.String().Draw(t, "user"), SASLMethod: "PLAIN",
		}
		if rapid.Bool().Draw(t, "sender") {
			e.Sender = genAddress(t, "sender")
		}
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			r := Recipient{Addr: genAddress(t, "rcpt"), ORCPT: rapid.String().Draw(t, "orcpt"), Notify: Notify(rapid.IntRange(0, 15).Draw(t, "notify"))}
			if rapid.Bool().Draw(t, "aliased") {
				r.Original = genAddress(t, "orig")
			}
			e.Recipients = append(e.Recipients, r)
		}
		got, err := DecodeEnvelope(AppendEnvelope(nil, e))
		if err != nil || !reflect.DeepEqual(e, got) {
			t.Fatalf("%v\n%s", err, cmp.Diff(e, got))
		}
	})
}

func TestSummaryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "base"), 5)
		s := &Summary{Recipients: []Tracked{}}
		if rapid.Bool().Draw(t, "sender") {
			s.Sender = genAddress(t, "sender")
		}
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			s.Recipients = append(s.Recipients, Tracked{Addr: genAddress(t, "rcpt"), State: genState(t)})
		}
		got, err := DecodeSummary(AppendSummary(nil, s, base), base)
		if err != nil || !reflect.DeepEqual(s, got) {
			t.Fatalf("%v\n%s", err, cmp.Diff(s, got))
		}
		if got, err := ReadOutlook(string(AppendSummary(nil, s, base)), base); err != nil || got != outlook(s) {
			t.Fatalf("%+v, %v of %+v", got, err, s)
		}
	})
}

// outlook is ReadOutlook in other words.
func outlook(s *Summary) (o Outlook) {
	var open []time.Time
	for _, r := range s.Recipients {
		o.Tried = o.Tried || r.State.Status != Pending
		if !r.State.Status.Final() {
			open = append(open, r.State.Next)
		}
	}
	if o.Open = len(open) > 0; o.Open {
		o.Next = slices.MinFunc(open, time.Time.Compare)
	}
	return o
}

func TestUvarintIsThatOfBinary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 0x7f, 0x80, 0x81, 0xff}), 0, 12).Draw(t, "bytes")
		want, n := binary.Uvarint(b)
		c := cursor{b: string(b)}
		got := c.uvarint("x")
		if (c.err == nil) != (n > 0) || n > 0 && (got != want || len(c.b) != len(b)-n) {
			t.Fatalf("%x: %d, %v, want %d", b, got, c.err, want)
		}
	})
}

// A field that this version does not know is skipped.
func TestEnvelopeFromTheFuture(t *testing.T) {
	b := AppendEnvelope(nil, &Envelope{EnvID: "x"})
	b = appendField(b, 4711, "news")
	e, err := DecodeEnvelope(b)
	if err != nil || e.EnvID != "x" {
		t.Fatalf("%+v, %v", e, err)
	}
}

func TestDecodeNamesTheFault(t *testing.T) {
	for name, b := range map[string][]byte{
		"length past the end":   {tagEnvID, 9, 'x'},
		"unfinished varint":     {0x80},
		"address without NUL":   {tagSender, 1, 'x'},
		"null recipient":        {tagRecipient, 0},
		"two NULs":              {tagSender, 4, 'a', 0, 0, 'b'},
		"number past its range": {tagReturn, 1, 9},
	} {
		if _, err := DecodeEnvelope(b); !fail.Is(err, fail.Corrupt) {
			t.Errorf("%s: %v, want a Corrupt error", name, err)
		}
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	f.Add(AppendEnvelope(nil, &Envelope{Sender: addr.Address{Local: "a", Domain: "b"}, EnvID: "x", Size: 9}))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEnvelope(b)
		if err != nil {
			return
		}
		again, err := DecodeEnvelope(AppendEnvelope(nil, e))
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("%v\n%s", err, cmp.Diff(e, again))
		}
	})
}

func FuzzDecodeSummary(f *testing.F) {
	base := time.Unix(1e9, 0)
	s := &Summary{Recipients: []Tracked{{Addr: addr.Address{Local: "a", Domain: "b"}, State: State{Status: Deferred, Reason: "host x said: 4", Remote: "x"}}}}
	f.Add(AppendSummary(nil, s, base))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSummary(b, base)
		if err != nil {
			if fail.KindOf(err) != fail.Corrupt {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		again, err := DecodeSummary(AppendSummary(nil, s, base), base)
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%v\n%s", err, cmp.Diff(s, again))
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("4dj7nd4q3nzN3")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil && id.String() != s {
			t.Fatalf("%q -> %d -> %q", s, id, id)
		}
	})
}
