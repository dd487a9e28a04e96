package order

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
	t := NewThreader(alg, len(msgs))
	for _, m := range msgs {
		t.Add(m)
	}
	return string(t.Forest().Append(nil, func(i int) uint32 { return uint32(i + 1) }))
}

// mail writes a message as "id subject: refs"; messages are a second apart.
func mail(lines ...string) (msgs []Message) {
	for i, l := range lines {
		head, refs, _ := strings.Cut(l, " < ")
		id, subject, _ := strings.Cut(head, " ")
		m := Message{Sent: int64(1000 + i), Arrived: int64(5000 + i), Subject: subject}
		if id != "-" {
			m.MessageID = "<" + id + "@x>"
		}
		for _, r := range strings.Fields(refs) {
			m.References += "<" + r + "@x> "
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
		"three of a subject":           {[]string{"a x", "b X", "c [l] x (fwd)"}, "((1)(2)(3))"},
		"replies only":                 {[]string{"a re: x", "b Re: x"}, "((1)(2))"},
		"no subject":                   {[]string{"a ", "b ", "c Re:"}, "(1)(2)(3)"},
		"a dummy takes the subject":    {[]string{"a x", "b x < z", "c y < z"}, "((1)(2)(3))"},
		"two dummies of a subject":     {[]string{"b x < z", "c y < z", "d x < w", "e y < w"}, "((1)(2)(3)(4))"},
		"subjects are mapped":          {[]string{"a ǆ", "b RE: Ǆ"}, "(1 2)"},
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

func TestInReplyTo(t *testing.T) {
	a, b := Message{MessageID: "<a@x>", Subject: "x"}, Message{MessageID: "<b@x>", Subject: "y", InReplyTo: "Your mail <a@x> of <c@x>"}
	c := Message{MessageID: "<c@x>", Subject: "z", InReplyTo: "<a@x>", References: "<b@x>"}
	d := Message{MessageID: "<d@x>", Subject: "w", InReplyTo: "<a@x>", References: "none here"}
	if got := threads(References, []Message{a, b, c, d}); got != "(1 (2 3)(4))" {
		t.Error(got)
	}
}

func TestOrderedSubject(t *testing.T) {
	msgs := mail("a x", "b y", "c Re: x", "d z", "e [l] Y", "f x (fwd)", "g ", "h ")
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
	th := NewThreader(References, 0)
	var refs strings.Builder
	const n = 1000
	for i := range n {
		refs.Reset()
		for j := range maxReferences {
			fmt.Fprintf(&refs, "<%d.%d@x>", i, j)
		}
		th.Add(Message{Subject: strconv.Itoa(i), References: refs.String()})
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
	const n = 100_000
	id := func(i int) string { return fmt.Sprintf("<%d@x>", i) }
	for name, refs := range map[string]func(i int) string{
		"a chain":           func(i int) string { return id(i - 1) },
		"a chain backwards": func(i int) string { return id(i + 1) },
		"chains in chains":  func(i int) string { return id(i*7919%n) + id((i*7919+1)%n) },
		"many loops":        func(i int) string { return id(i-1) + id(0) + id(i-1) + id(0) + id(i-2) + id(1) },
		"wide":              func(int) string { return id(-1) },
	} {
		begin := time.Now()
		th := NewThreader(References, n)
		for i := range n {
			th.Add(Message{Sent: int64(i), Subject: "x" + strconv.Itoa(i), MessageID: id(i), References: refs(i)})
		}
		out := th.Forest().Append(nil, func(i int) uint32 { return uint32(i + 1) })
		if took := time.Since(begin); took > 10*time.Second {
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
	id := rapid.SampledFrom([]string{"<a@x>", "<b@x>", "<c@x>", "<d@x>", "<e@x>", "<f@x>", "<g@x>"})
	one := rapid.Custom(func(t *rapid.T) Message {
		return Message{
			Sent: rapid.Int64Range(0, 5).Draw(t, "sent"), Arrived: rapid.Int64Range(0, 5).Draw(t, "arrived"),
			Subject:    rapid.SampledFrom([]string{"", "x", "Re: x", "y", "[l] Y (fwd)", "Re:", "z"}).Draw(t, "subject"),
			MessageID:  rapid.OneOf(id, rapid.Just("")).Draw(t, "id"),
			References: strings.Join(rapid.SliceOfN(id, 0, 5).Draw(t, "refs"), " "),
			InReplyTo:  rapid.OneOf(id, rapid.Just("")).Draw(t, "reply"),
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

// FuzzThread puts anything into headers.
func FuzzThread(f *testing.F) {
	f.Add("a\x00Re: x\x00<a@b> <\"c\"@d>\x00b\x00x\x00<a@b><b@a>")
	f.Fuzz(func(t *testing.T, s string) {
		var msgs []Message
		fields := strings.Split(s, "\x00")
		for i := 0; i+2 < len(fields); i += 3 {
			msgs = append(msgs, Message{MessageID: "<" + fields[i] + "@x>", Subject: fields[i+1], References: fields[i+2], InReplyTo: fields[i], Sent: int64(i % 7)})
		}
		for _, alg := range []Algorithm{OrderedSubject, References, Refs} {
			if got := threads(alg, msgs); len(numbers(got)) != len(msgs) {
				t.Fatalf("not every message once in %s", got)
			}
		}
	})
}

func BenchmarkThread(b *testing.B) {
	const n = 100_000
	msgs := make([]Message, n)
	for i := range msgs {
		m := Message{Sent: int64(i), Arrived: int64(i), MessageID: fmt.Sprintf("<%d.123456789.abcdef@mail.example.org>", i), Subject: fmt.Sprintf("Subject of thread %d", i/8)}
		for r := i &^ 7; r < i; r++ {
			m.Subject = fmt.Sprintf("Re: Subject of thread %d", i/8)
			m.References += msgs[r].MessageID + "\r\n "
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
