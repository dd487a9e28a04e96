package thread

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// threads is the answer of an algorithm, numbers counted from 1.
func threads(alg Algorithm, msgs []Message) string {
	t := New(alg, len(msgs))
	for _, m := range msgs {
		t.Add(m)
	}
	return string(t.Forest().Append(nil, func(i int) uint32 { return uint32(i + 1) }))
}

// mail writes messages as "id subject < refs", a second apart. An id is a
// letter, "-" is none.
func mail(lines ...string) (msgs []Message) {
	for i, l := range lines {
		head, refs, _ := strings.Cut(l, " < ")
		id, subject, _ := strings.Cut(head, " ")
		m := Message{Sent: int64(1000 + i), Arrived: int64(5000 + i)}
		m.Subject, m.Reply = strings.CutPrefix(subject, "Re: ")
		if id != "-" {
			m.ID = uint64(id[0])
		}
		for _, r := range strings.Fields(refs) {
			m.References = append(m.References, uint64(r[0]))
		}
		msgs = append(msgs, m)
	}
	return msgs
}

func TestReferencesAlgorithm(t *testing.T) {
	for name, c := range map[string]struct {
		mail []string
		want string
	}{
		"empty":                        {nil, ""},
		"one":                          {[]string{"a x"}, "(1)"},
		"a reply":                      {[]string{"a x", "b y < a"}, "(1 2)"},
		"two replies":                  {[]string{"a x", "b y < a", "c z < a"}, "(1 (2)(3))"},
		"RFC 5256 section 4":           {[]string{"q w", "a x", "b x1 < a", "c x2 < a b", "d x3 < b c"}, "(1)(2 3 4 5)"},
		"before what it replies to":    {[]string{"b y < a", "a x"}, "(2 1)"},
		"the parent is missing":        {[]string{"b y < a", "c z < a"}, "((1)(2))"},
		"an only child of the missing": {[]string{"b y < a"}, "(1)"},
		"missing in between":           {[]string{"a x", "d z < a b c"}, "(1 2)"},
		"missing with missing":         {[]string{"d x < a b", "e y < a c", "f z < a c"}, "((1)(2)(3))"},
		"a loop":                       {[]string{"a x < b", "b y < a"}, "(2 1)"},
		"itself":                       {[]string{"a x < a", "b y < b a b"}, "(2 1)"},
		"the same id twice":            {[]string{"a x", "a y", "b z < a"}, "(1 3)(2)"},
		"no ids":                       {[]string{"- x", "- y"}, "(1)(2)"},
		"a truncated list":             {[]string{"a x", "b y < a", "d w < c", "c z < b"}, "(1 2 4 3)"},
		"no parent after all":          {[]string{"c z < a b", "b y"}, "(2 1)"},
		"the same subject":             {[]string{"a x", "b Re: x"}, "(1 2)"},
		"the reply is older":           {[]string{"b Re: x", "a x"}, "(2 1)"},
		"two of a subject":             {[]string{"a x", "b x"}, "((1)(2))"},
		"three of a subject":           {[]string{"a x", "b x", "c Re: x"}, "((1)(2)(3))"},
		"replies only":                 {[]string{"a Re: x", "b Re: x"}, "((1)(2))"},
		"no subject":                   {[]string{"a ", "b ", "c Re: "}, "(1)(2)(3)"},
		"a dummy takes the subject":    {[]string{"a x", "b x < z", "c y < z"}, "((1)(2)(3))"},
		"two dummies of a subject":     {[]string{"b x < z", "c y < z", "d x < w", "e y < w"}, "((1)(2)(3)(4))"},
	} {
		if got := threads(References, mail(c.mail...)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if name != "empty" && got(mail(c.mail...)) != len(c.mail) {
			t.Errorf("%s: not every message once", name)
		}
	}
}

func got(msgs []Message) int { return len(numbers(threads(Refs, msgs))) }

func TestOrderedSubject(t *testing.T) {
	msgs := mail("a x", "b y", "c Re: x", "d z", "e y", "f x", "g ", "h ")
	msgs[0].Sent = 2000 // the first of a thread is the one sent first
	if got := threads(OrderedSubject, msgs); got != "(2 5)(3 (6)(1))(4)(7 8)" {
		t.Error(got)
	}
}

func TestRefs(t *testing.T) {
	msgs := mail("a x", "b x", "c y < a", "d y < z", "e w < z")
	msgs[0].Arrived, msgs[2].Arrived = 9000, 1
	msgs[3].Sent = 9999 // siblings are in the order of sent dates all the same
	if got := threads(Refs, msgs); got != "(2)((5)(4))(1 3)" {
		t.Error(got)
	}
}

// Thousands of unknown ids in each message do not cost memory without bound.
func TestDummiesAreCapped(t *testing.T) {
	th := New(References, 0)
	const n, each = 1000, 500
	for i := range n {
		m := Message{Subject: strconv.Itoa(i)}
		for j := range each {
			m.References = append(m.References, uint64(1+i*each+j))
		}
		th.Add(m)
	}
	if most := dummiesFirst + dummiesEach*n + n; len(th.links.nodes) > most || len(th.links.byID) > most {
		t.Error(len(th.links.nodes), len(th.links.byID))
	}
	if got := numbers(string(th.Forest().Append(nil, func(i int) uint32 { return uint32(i + 1) }))); len(got) != n {
		t.Error(len(got))
	}
}

// Mailboxes that make a simple test for loops, or recursion, slow or worse.
func TestThreadsAreLinear(t *testing.T) {
	const n = 30_000
	ids := func(all ...int) (refs []uint64) {
		for _, i := range all {
			refs = append(refs, uint64(i+10))
		}
		return refs
	}
	for name, refs := range map[string]func(i int) []uint64{
		"a chain":           func(i int) []uint64 { return ids(i - 1) },
		"a chain backwards": func(i int) []uint64 { return ids(i + 1) },
		"chains in chains":  func(i int) []uint64 { return ids(i*7919%n, (i*7919+1)%n) },
		"many loops":        func(i int) []uint64 { return ids(i-1, 0, i-1, 0, i-2, 1) },
		"wide":              func(int) []uint64 { return ids(-1) },
	} {
		begin := time.Now()
		th := New(References, n)
		for i := range n {
			th.Add(Message{Sent: int64(i), Subject: "x" + strconv.Itoa(i), ID: uint64(i + 10), References: refs(i)})
		}
		out := th.Forest().Append(nil, func(i int) uint32 { return uint32(i + 1) })
		if took := time.Since(begin); took > 60*time.Second {
			t.Errorf("%s: %v", name, took)
		}
		if len(numbers(string(out))) != n {
			t.Errorf("%s: not every message once", name)
		}
	}
}

// numbers are those in an answer, each once.
func numbers(answer string) map[int]bool {
	all := map[int]bool{}
	for _, w := range strings.FieldsFunc(answer, func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.Atoi(w)
		if err != nil || all[n] {
			return nil
		}
		all[n] = true
	}
	return all
}

// drawMail makes mail in which most of the rules meet.
func drawMail(t *rapid.T) []Message {
	id := rapid.Uint64Range(1, 7)
	one := rapid.Custom(func(t *rapid.T) Message {
		return Message{
			Sent: rapid.Int64Range(0, 5).Draw(t, "sent"), Arrived: rapid.Int64Range(0, 5).Draw(t, "arrived"),
			Subject: rapid.SampledFrom([]string{"", "x", "y", "z"}).Draw(t, "subject"), Reply: rapid.Bool().Draw(t, "reply"),
			ID: rapid.Uint64Range(0, 7).Draw(t, "id"), References: rapid.SliceOfN(id, 0, 5).Draw(t, "refs"),
		}
	})
	return rapid.SliceOfN(one, 0, 9).Draw(t, "mail")
}

// Every message is in the answer once, the answer is the same each time, and
// it is what the words of the RFC come to.
func TestThreadProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msgs := drawMail(t)
		for _, alg := range []Algorithm{OrderedSubject, References, Refs} {
			got := threads(alg, msgs)
			if len(numbers(got)) != len(msgs) {
				t.Fatalf("not every message once in %s", got)
			}
			if again := threads(alg, msgs); again != got {
				t.Fatalf("%s, then %s", got, again)
			}
			if want := naive(alg, msgs); got != want {
				t.Fatalf("algorithm %d: %s, by the letter %s", alg, got, want)
			}
		}
	})
}

// FuzzThread is the property for whatever messages may say: three bytes and
// some references for each.
func FuzzThread(f *testing.F) {
	f.Add([]byte("\x02a1\x01\x01b1\x00c2\x03\x02"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var msgs []Message
		for len(in) >= 3 && len(msgs) < 200 {
			n := min(int(in[0]%8), len(in)-3)
			m := Message{Sent: int64(in[1] % 16), Arrived: int64(in[1] / 16), Subject: string(in[1]%4 + '0'), Reply: in[1]&4 != 0, ID: uint64(in[2])}
			for _, r := range in[3 : 3+n] {
				m.References = append(m.References, uint64(r)+1)
			}
			msgs, in = append(msgs, m), in[3+n:]
		}
		for _, alg := range []Algorithm{OrderedSubject, References, Refs} {
			if got := threads(alg, msgs); len(numbers(got)) != len(msgs) || got != naive(alg, msgs) {
				t.Fatalf("algorithm %d: %s, by the letter %s", alg, got, naive(alg, msgs))
			}
		}
	})
}

func BenchmarkThread(b *testing.B) {
	const n = 100_000
	msgs := make([]Message, n)
	for i := range msgs {
		m := Message{Sent: int64(i), Arrived: int64(i), ID: uint64(i+1) * 0x9e3779b97f4a7c15, Subject: fmt.Sprintf("Subject of thread %d", i/8), Reply: i%8 > 0}
		for r := i &^ 7; r < i; r++ {
			m.References = append(m.References, msgs[r].ID)
		}
		msgs[i] = m
	}
	for _, alg := range []Algorithm{OrderedSubject, References, Refs} {
		b.Run(strconv.Itoa(int(alg)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				threads(alg, msgs)
			}
		})
	}
}
