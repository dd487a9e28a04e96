package login

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// auth knows alice, an outage and a limit.
type auth struct{}

func (auth) Mechanisms(secured bool) []string {
	if !secured {
		return []string{"SCRAM-SHA-256"}
	}
	return []string{"PLAIN", "LOGIN", "SCRAM-SHA-256", "EXTERNAL"}
}

func (auth) Authenticate(ctx context.Context, a Attempt, ask Ask) (Verdict, error) {
	switch {
	case a.Mechanism == "SCRAM-SHA-256":
		return converse(ctx, a, ask)
	case a.Mechanism == "EXTERNAL" && a.HasInitial && len(a.Initial) == 0:
		return Verdict{User: "certified"}, nil
	case a.Mechanism == "APOP":
		return apop(a)
	case !a.HasInitial:
		var err error
		if a.Initial, err = ask(ctx, nil); err != nil {
			return Verdict{}, err
		}
	}
	p := bytes.Split(a.Initial, []byte{0})
	if len(p) != 3 {
		return Verdict{}, fail.New(fail.Invalid, "not PLAIN")
	}
	v := Verdict{User: string(p[1])}
	switch {
	case v.User == "outage":
		return v, fail.New(fail.Unavailable, "authd is down")
	case v.User == "limited":
		return v, &Refused{Code: "IN-USE", Text: "Too many connections."}
	case v.User != "alice" || string(p[2]) != "correct horse":
		return v, fail.New(fail.Denied, "wrong")
	}
	return v, nil
}

// example is RFC 7677's, the answers and what the server says to them: how a
// mechanism of several steps looks on the wire. The last answer is empty.
func example() [][2]string {
	return [][2]string{
		{"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"},
		{"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
		{"", ""},
	}
}

func converse(ctx context.Context, at Attempt, ask Ask) (Verdict, error) {
	answer, err := at.Initial, error(nil)
	if !at.HasInitial {
		answer, err = ask(ctx, nil)
	}
	steps := example()
	for i, s := range steps {
		switch {
		case err != nil:
			return Verdict{}, err
		case string(answer) != s[0]:
			return Verdict{}, fail.New(fail.Denied, "step %d: %q", i, answer)
		case i < len(steps)-1:
			answer, err = ask(ctx, []byte(s[1]))
		}
	}
	return Verdict{User: "user"}, nil
}

// challenge is RFC 1939's example; mrose's secret is "tanstaaf".
const challenge = "<1896.697170952@dbc.mtview.ca.us>"

func apop(a Attempt) (Verdict, error) {
	sum := md5.Sum([]byte(challenge + "tanstaaf"))
	if string(a.Initial) == challenge+"\x00mrose\x00"+string(sum[:]) {
		return Verdict{User: "mrose"}, nil
	}
	return Verdict{}, fail.New(fail.Denied, "wrong")
}

func TestTranscripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no transcripts")
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { replay(t, f) })
	}
}

func replay(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	client, server := net.Pipe()
	_ = client.SetDeadline(time.Now().Add(time.Minute))
	ended := make(chan Outcome, 1)
	opt := Options{Auth: auth{}, Greeting: "Postcote ready.", Secured: strings.Contains(string(text), "\n! secured\n")}
	if strings.Contains(string(text), "\n! apop\n") {
		opt.Challenge = challenge
	}
	var told []string
	if strings.Contains(string(text), "\n! xclient\n") {
		opt.XClient = func(pairs [][2]string) bool {
			told = append(told, fmt.Sprint(pairs))
			return !slices.Contains(pairs, [2]string{"ADDR", "bad"})
		}
	}
	go func() { ended <- New(server, opt).Run(context.Background()) }()
	r := bufio.NewReader(client)
	want, wantTold := "", ""
	for n, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "C: "):
			fmt.Fprintf(client, "%s\r\n", strings.ReplaceAll(line[3:], `\r\n`, "\r\n"))
		case strings.HasPrefix(line, "S: "):
			got, err := r.ReadString('\n')
			if err != nil || got != line[3:]+"\r\n" {
				t.Fatalf("%s:%d: got %q (%v), want %q", file, n+1, got, err, line[3:])
			}
		case strings.HasPrefix(line, "# xclient: "):
			wantTold = line[11:]
		case strings.HasPrefix(line, "# outcome: "):
			want = line[11:]
		}
	}
	o := <-ended
	buffered := ""
	if o.Success != nil {
		buffered = string(o.Success.Buffered)
	}
	got := fmt.Sprintf("user=%s mech=%s reason=%d attempts=%d buffered=%q", o.User, o.Mechanism, o.Reason, o.Attempts, buffered)
	if got != want {
		t.Errorf("outcome %s, want %s", got, want)
	}
	if got := strings.Join(told, " "); got != wantTold {
		t.Errorf("XCLIENT told %s, want %s", got, wantTold)
	}
}

// Commands that were pipelined in plaintext behind STLS are never run.
func TestSTLSDropsPlaintext(t *testing.T) {
	client, server := net.Pipe()
	inner, far := net.Pipe() // stands for the TLS connection
	opt := Options{Auth: auth{}, Greeting: "x", StartTLS: func(context.Context, net.Conn) (net.Conn, error) { return inner, nil }}
	ended := make(chan Outcome, 1)
	go func() { ended <- New(server, opt).Run(context.Background()) }()
	r := bufio.NewReader(client)
	_, _ = r.ReadString('\n')
	go func() { _, _ = io.WriteString(client, "STLS\r\nUSER mallory\r\n") }()
	if line, _ := r.ReadString('\n'); !strings.HasPrefix(line, "+OK Begin TLS") {
		t.Fatalf("%q", line)
	}
	fr := bufio.NewReader(far)
	fmt.Fprint(far, "PASS x\r\n")
	if line, _ := fr.ReadString('\n'); line != "-ERR No username given.\r\n" {
		t.Errorf("USER from before TLS took effect: %q", line)
	}
	fmt.Fprint(far, "QUIT\r\n")
	_, _ = fr.ReadString('\n')
	if o := <-ended; !o.TLS || !o.Secured || o.Reason != ReasonLogout {
		t.Errorf("%+v", o)
	}
}

// A login that cannot be served is answered, and the client may go on.
func TestRefuse(t *testing.T) {
	client, server := net.Pipe()
	e := New(server, Options{Auth: auth{}, Greeting: "x", Secured: true})
	ended := make(chan Outcome, 1)
	go func() { ended <- e.Run(context.Background()) }()
	r := bufio.NewReader(client)
	_, _ = r.ReadString('\n')
	fmt.Fprint(client, "AUTH PLAIN AGFsaWNlAGNvcnJlY3QgaG9yc2U=\r\nQUIT\r\n")
	first := <-ended
	go func() { e.Refuse(first.Success, "SYS/TEMP", "Later."); ended <- e.Run(context.Background()) }()
	for _, want := range []string{"-ERR [SYS/TEMP] Later.\r\n", "+OK Logging out\r\n"} {
		if got, err := r.ReadString('\n'); got != want {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
	<-ended
}

func TestLoginTimeout(t *testing.T) {
	client, server := net.Pipe()
	ended := make(chan Outcome, 1)
	go func() {
		ended <- New(server, Options{Auth: auth{}, Greeting: "x", LoginTimeout: 20 * time.Millisecond}).Run(context.Background())
		server.Close()
	}()
	out, _ := io.ReadAll(client)
	if o := <-ended; o.Reason != ReasonInactive || !strings.Contains(string(out), "-ERR Disconnected for inactivity.") {
		t.Errorf("%+v %q", o, out)
	}
}

// Whatever a client sends, Run ends when the client does, and only the right
// password is a success.
func FuzzLogin(f *testing.F) {
	f.Add("USER alice\r\nPASS correct horse\r\n")
	f.Add("AUTH PLAIN\r\n=\r\nAUTH PLAIN =\r\nAUTH LOGIN *\r\n")
	f.Add("APOP mrose c4c9334bac560ecc979e58001b3e22fc\r\nAPOP x\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		client, server := net.Pipe()
		ended := make(chan Outcome, 1)
		go func() {
			ended <- New(server, Options{Auth: auth{}, Greeting: "x", Secured: true, Challenge: challenge}).Run(context.Background())
			server.Close()
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_ = client.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(client, in)
		client.Close()
		if o := <-ended; o.Success != nil && o.Success.Verdict.User != "alice" {
			t.Fatalf("%q let %q in", in, o.Success.Verdict.User)
		}
	})
}
