package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/platform/fail"
)

const message = "Subject: x\r\n\r\n.dot\r\n"

func TestSend(t *testing.T) {
	for name, skip := range map[string]bool{"pipelined": false, "in turn": true} {
		t.Run(name, func(t *testing.T) {
			f := &fake{rcpt: func(line string) string {
				if strings.Contains(line, "nobody") {
					return "550 5.1.1 no such user"
				}
				return "250 ok"
			}}
			c := open(t, f, Config{SkipPipelining: skip})
			env := envelope(t, "a@b.example", "one@b.example", "nobody@b.example", "two@b.example")
			env.Size, env.Body = 20, smtp.Body8BitMIME
			env.Return, env.EnvelopeID = smtp.DSNReturnHeaders, "id=1"
			env.To[0].Options = smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "o+1@b.example"}
			env.To[2].Options = smtp.RcptOptions{OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "ü@b.example"}
			for round := 1; round <= 2; round++ {
				got, err := c.Send(context.Background(), env, strings.NewReader(message))
				if err != nil {
					t.Fatal(err)
				}
				if !got[0].Sent() || got[0].Stage != StageEnd || got[0].Text != "taken" || got[0].Enhanced != (smtp.EnhancedCode{2, 0, 0}) || got[2] != got[0] {
					t.Errorf("accepted: %+v", got)
				}
				if want := (Result{550, smtp.EnhancedCode{5, 1, 1}, "no such user", StageRcpt, false, ""}); got[1] != want {
					t.Errorf("refused: %+v", got[1])
				}
				if c.Uses() != round || !c.Usable() {
					t.Errorf("uses %d, usable %v", c.Uses(), c.Usable())
				}
			}
			if err := c.Quit(context.Background()); err != nil || c.Usable() {
				t.Error(err)
			}
			want := strings.Join([]string{
				"MAIL FROM:<a@b.example> SIZE=20 BODY=8BITMIME ENVID=id+3D1 RET=HDRS",
				"RCPT TO:<one@b.example> ORCPT=RFC822;o+2B1@b.example NOTIFY=FAILURE,DELAY",
				"RCPT TO:<nobody@b.example>",
				`RCPT TO:<two@b.example> ORCPT=UTF-8;\x{FC}@b.example`,
				"DATA",
				"content: Subject: x\r\n\r\n..dot\r\n",
			}, "\n")
			if got := f.heard(); got != "EHLO client.test\n"+want+"\n"+want+"\nQUIT" {
				t.Errorf("heard\n%s", got)
			}
		})
	}
}

// With Verify the transaction ends behind the recipients, and the session is
// of use for another.
func TestVerify(t *testing.T) {
	for _, cfg := range []Config{{}, {SkipPipelining: true}, {LMTP: true}} {
		f := &fake{rcpt: func(line string) string {
			if strings.Contains(line, "nobody") {
				return "550 5.1.1 no such user"
			}
			return "250 2.1.5 fine"
		}}
		c := open(t, f, cfg)
		env := envelope(t, "a@b.example", "one@b.example", "nobody@b.example")
		env.Verify = true
		for range 2 {
			got, err := c.Send(context.Background(), env, nil)
			if err != nil || !got[0].Sent() || got[0].Text != "fine" || got[0].Stage != StageRcpt || !got[1].Permanent() {
				t.Errorf("%+v, %v", got, err)
			}
		}
		once := "MAIL FROM:<a@b.example>\nRCPT TO:<one@b.example>\nRCPT TO:<nobody@b.example>"
		if got := f.heard(); !strings.HasSuffix(got, "LO client.test\n"+once+"\nRSET\n"+once) {
			t.Errorf("heard\n%s", got)
		}
	}
}

// Without extensions nothing is sent that needs them, and what cannot do
// without is a CapabilityError before anything is said.
func TestPlainServer(t *testing.T) {
	f := &fake{reply: map[string]string{"EHLO": "502 5.5.2 what"}}
	c := open(t, f, Config{})
	env := envelope(t, "a@b.example", "joe@xn--bcher-kva.example")
	env.Size, env.Return, env.EnvelopeID = 20, smtp.DSNReturnFull, "x"
	env.To[0].Options.Notify = []smtp.DSNNotify{smtp.DSNNotifyNever}
	if _, err := c.Send(context.Background(), env, strings.NewReader(message)); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		change  func(*Envelope)
		keyword string
		code    smtp.EnhancedCode
	}{
		{func(e *Envelope) { e.Body = smtp.Body8BitMIME }, "8BITMIME", smtp.EnhancedCode{5, 6, 3}},
		{func(e *Envelope) { e.UTF8 = true }, "SMTPUTF8", smtp.EnhancedCode{5, 6, 7}},
		{func(e *Envelope) { e.To[0].To.Local = "é" }, "SMTPUTF8", smtp.EnhancedCode{5, 6, 7}},
	} {
		env := envelope(t, "a@b.example", "joe@b.example")
		x.change(&env)
		got, err := c.Send(context.Background(), env, strings.NewReader(message))
		var capability *CapabilityError
		if !errors.As(err, &capability) || capability.Keyword != x.keyword || capability.Enhanced != x.code || got[0].Known() || !c.Usable() {
			t.Errorf("%s: %v %+v", x.keyword, err, got)
		}
	}
	if got, want := f.heard(), "EHLO client.test\nHELO client.test\nMAIL FROM:<a@b.example>\nRCPT TO:<joe@xn--bcher-kva.example>\nDATA\ncontent: Subject: x\r\n\r\n..dot\r\n"; got != want {
		t.Errorf("heard\n%s\nwant\n%s", got, want)
	}
}

func TestTooBigForServer(t *testing.T) {
	c := open(t, &fake{}, Config{})
	env := envelope(t, "a@b.example", "b@b.example")
	env.Size = 1000001
	var capability *CapabilityError
	if _, err := c.Send(context.Background(), env, nil); !errors.As(err, &capability) || capability.Keyword != "SIZE" {
		t.Error(err)
	}
}

func TestSMTPUTF8(t *testing.T) {
	f := &fake{reply: map[string]string{"EHLO": "250-fake\n250-8BITMIME\n250-DSN\n250 SMTPUTF8"}}
	c := open(t, f, Config{})
	env := envelope(t, "é@bücher.example", "ü@bücher.example")
	env.UTF8, env.Body = true, smtp.Body8BitMIME
	env.To[0].Options = smtp.RcptOptions{OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "ö+@b.example"}
	if _, err := c.Send(context.Background(), env, strings.NewReader(message)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"MAIL FROM:<é@bücher.example> BODY=8BITMIME SMTPUTF8\n", `RCPT TO:<ü@bücher.example> ORCPT=UTF-8;ö\x{2B}@b.example`} {
		if !strings.Contains(f.heard(), want) {
			t.Errorf("no %q in\n%s", want, f.heard())
		}
	}
}

// An address that would forge a command is not written.
func TestControlInAddress(t *testing.T) {
	f := &fake{}
	c := open(t, f, Config{})
	env := envelope(t, "a@b.example", "b@b.example")
	env.To[0].To.Local = "x>\r\nRCPT TO:<y"
	if _, err := c.Send(context.Background(), env, strings.NewReader(message)); !fail.Is(err, fail.Invalid) || strings.Contains(f.heard(), "MAIL") {
		t.Errorf("%v\n%s", err, f.heard())
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply map[string]string
		lmtp  bool
		want  Result
		heard string // behind the group, before the second message
	}{
		{"MAIL", map[string]string{"MAIL": "550-5.7.1 no\n550 5.7.1 thanks"}, false, Result{550, smtp.EnhancedCode{5, 7, 1}, "no\nthanks", StageMail, false, ""}, "content: \nRSET"},
		{"MAIL, and DATA as it should", map[string]string{"MAIL": "450 later", "RCPT": "503 no", "DATA": "503 no"}, false, Result{450, smtp.EnhancedCode{4, 0, 0}, "later", StageMail, true, ""}, "RSET"},
		{"all RCPT, 354", map[string]string{"RCPT": "550 no"}, false, Result{550, smtp.EnhancedCode{5, 0, 0}, "no", StageRcpt, true, ""}, "content: \nRSET"},
		{"all RCPT, 554", map[string]string{"RCPT": "550 no", "DATA": "554 no valid recipients"}, false, Result{550, smtp.EnhancedCode{5, 0, 0}, "no", StageRcpt, true, ""}, "RSET"},
		{"all RCPT, LMTP", map[string]string{"RCPT": "550 no", "DATA": "503 no valid recipients"}, true, Result{550, smtp.EnhancedCode{5, 0, 0}, "no", StageRcpt, true, ""}, "RSET"},
		{"DATA", map[string]string{"DATA": "451 4.3.0 not now"}, false, Result{451, smtp.EnhancedCode{4, 3, 0}, "not now", StageData, false, ""}, "RSET"},
		{"the message", map[string]string{".": "554 5.6.0 spam"}, false, Result{554, smtp.EnhancedCode{5, 6, 0}, "spam", StageEnd, false, ""}, "content: Subject: x\r\n\r\n..dot\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{reply: c.reply}
			conn := open(t, f, Config{LMTP: c.lmtp})
			env := envelope(t, "a@b.example", "one@b.example", "two@b.example")
			if c.lmtp {
				env.To = env.To[:1]
			}
			got, err := conn.Send(context.Background(), env, strings.NewReader(message))
			if err != nil || got[0] != c.want || got[len(got)-1] != c.want {
				t.Fatalf("%+v %v", got, err)
			}
			if _, err := conn.Send(context.Background(), env, strings.NewReader(message)); err != nil {
				t.Fatal(err)
			}
			_, after, _ := strings.Cut(f.heard(), "DATA\n")
			if !strings.HasPrefix(after, c.heard+"\nMAIL") {
				t.Errorf("heard\n%s", after)
			}
		})
	}
}

// A server that wants content in LMTP though it accepted nobody leaves open
// what comes next; the session ends, the results stand.
func TestLMTPContentForNobody(t *testing.T) {
	c := open(t, &fake{reply: map[string]string{"RCPT": "550 no"}}, Config{LMTP: true})
	got, err := c.Send(context.Background(), envelope(t, "", "a@b.example"), strings.NewReader(message))
	if err != nil || !got[0].Permanent() || c.Usable() {
		t.Errorf("%+v %v usable=%v", got, err, c.Usable())
	}
}

func TestLMTP(t *testing.T) {
	f := &fake{reply: map[string]string{".": "250 2.0.0 one\n452 4.2.2 full\n250 2.0.0 three"}, rcpt: func(line string) string {
		if strings.Contains(line, "nobody") {
			return "550 5.1.1 nobody"
		}
		return "250 ok"
	}}
	c := open(t, f, Config{LMTP: true})
	got, err := c.Send(context.Background(), envelope(t, "", "one@x.example", "nobody@x.example", "two@x.example", "three@x.example"), strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintln(got[0].Code, got[1].Code, got[2].Code, got[3].Code, got[3].Text); s != "250 550 452 250 three\n" {
		t.Error(s)
	}
	if !strings.HasPrefix(f.heard(), "LHLO client.test\nMAIL FROM:<>\n") {
		t.Error(f.heard())
	}
}

// The connection ends between two LMTP replies: what was said stands.
func TestLMTPLostBetweenReplies(t *testing.T) {
	c := open(t, &fake{reply: map[string]string{".": "250 one\n550 two\n" + hang}}, Config{LMTP: true})
	got, err := c.Send(context.Background(), envelope(t, "", "one@x.example", "two@x.example", "three@x.example"), strings.NewReader(message))
	siteError(t, err, StageEnd)
	if got[0].Code != 250 || got[1].Code != 550 || got[2].Known() || c.Usable() {
		t.Errorf("%+v", got)
	}
}

// Each way a server can fail, at each command: an error in time that names
// the stage, and the connection closed.
func TestFaults(t *testing.T) {
	huge := "250-" + strings.Repeat("x", 3000)
	faults := map[string]string{
		"stall": stall, "hang up": hang, "garbage": "what?", "421": "421 4.3.2 closing",
		"endless lines": strings.Repeat("250-x\n", 400) + "250 x", "endless text": strings.Repeat(huge+"\n", 20) + "250 x",
		"endless garbage": strings.Repeat("what?\n", 400) + "250 x",
	}
	for at, stage := range map[string]Stage{
		"220": StageConnect, "EHLO": StageHello, "AUTH": StageAuth, "MAIL": StageMail, "RCPT": StageRcpt,
		"DATA": StageData, ".": StageEnd, "RSET": StageReset,
	} {
		for name, fault := range faults {
			t.Run(at+" "+name, func(t *testing.T) {
				t.Parallel()
				f := &fake{reply: map[string]string{at: fault}}
				if at == "AUTH" {
					f.reply["EHLO"] = "250-fake\n250 AUTH PLAIN"
				}
				var limits Timeouts
				slow := name == "stall" || name == "garbage"
				if slow {
					limits = quick(at)
				}
				err := session(t, f, at == "AUTH", limits)
				site := siteError(t, err, stage)
				if slow && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("no timeout: %v", err)
				}
				if name == "421" && (site.Reply.Code != 421 || site.Permanent()) {
					t.Errorf("%+v", site)
				}
				if err.Error() == "" {
					t.Error("no text")
				}
			})
		}
	}
}

// session is a whole one; it returns its first error.
func session(t *testing.T, f *fake, auth bool, limits Timeouts) error {
	cfg := Config{Name: "client.test", Timeouts: limits, SkipPipelining: true}
	if auth {
		cfg.Auth = func([]string, *tls.ConnectionState) (sasl.Client, error) {
			return sasl.NewPlainClient("", "u", "p"), nil
		}
	}
	c, err := New(context.Background(), f.start(t), cfg)
	if err != nil {
		return err
	}
	_, err = c.Send(context.Background(), envelope(t, "a@b.example", "b@b.example"), strings.NewReader(message))
	if err != nil {
		if c.Usable() {
			t.Error("usable after a SiteError")
		}
		return err
	}
	return c.Reset(context.Background())
}

func TestGreetingRefused(t *testing.T) {
	_, err := New(context.Background(), (&fake{reply: map[string]string{"220": "554-5.7.1 go\n554 5.7.1 away"}}).start(t), Config{Name: "c"})
	if site := siteError(t, err, StageConnect); !site.Permanent() || site.Reply.Text != "go\naway" {
		t.Error(err)
	}
}

// The end of the context interrupts a wait at once.
func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("the daemon stops")
	f := &fake{reply: map[string]string{".": stall}}
	c := open(t, f, Config{})
	go func() {
		for !strings.Contains(f.heard(), "content:") {
			time.Sleep(time.Millisecond)
		}
		cancel(why)
	}()
	_, err := c.Send(ctx, envelope(t, "a@b.example", "b@b.example"), strings.NewReader(message))
	if siteError(t, err, StageEnd); !errors.Is(err, why) {
		t.Error(err)
	}
}

type broken struct{ text io.Reader }

var errBroken = errors.New("disk on fire")

func (b broken) Read(p []byte) (int, error) {
	if n, err := b.text.Read(p); err == nil {
		return n, nil
	}
	return 0, errBroken
}

// Half a message never gets its final dot.
func TestContentFails(t *testing.T) {
	f := &fake{}
	c := open(t, f, Config{})
	_, err := c.Send(context.Background(), envelope(t, "a@b.example", "b@b.example"), broken{strings.NewReader(strings.Repeat(message, 5000))})
	var content *ContentError
	if !errors.As(err, &content) || !errors.Is(err, errBroken) || c.Usable() {
		t.Error(err)
	}
	if strings.Contains(f.heard(), "content: ") {
		t.Error("the message was completed")
	}
}

// A server that refuses while the content is still on its way is heard.
func TestRefusedInContent(t *testing.T) {
	f := &fake{reply: map[string]string{"DATA": "354 go\n552 5.3.4 too big", ".": hang}}
	c := open(t, f, Config{})
	got, err := c.Send(context.Background(), envelope(t, "a@b.example", "b@b.example"), strings.NewReader(strings.Repeat(message, 10000)))
	if want := (Result{552, smtp.EnhancedCode{5, 3, 4}, "too big", StageEnd, false, ""}); err != nil || got[0] != want {
		t.Errorf("%+v %v", got, err)
	}
}

// Many recipients go out in groups that fit into buffers, and come back in order.
func TestManyRecipients(t *testing.T) {
	n := 0
	f := &fake{rcpt: func(string) string {
		n++
		if n%3 == 0 {
			return fmt.Sprintf("550 5.1.1 %d", n)
		}
		return "250 ok"
	}}
	c := open(t, f, Config{})
	env := envelope(t, "a@b.example")
	for i := range 2000 {
		env.To = append(env.To, Recipient{To: address(t, fmt.Sprintf("user%d@b.example", i))})
	}
	got, err := c.Send(context.Background(), env, strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got {
		if ok := (i+1)%3 != 0; r.Sent() != ok || !ok && r.Text != fmt.Sprint(i+1) {
			t.Fatalf("%d: %+v", i, r)
		}
	}
}

func TestClosed(t *testing.T) {
	c := open(t, &fake{}, Config{})
	c.Close()
	ctx := context.Background()
	if _, err := c.Send(ctx, envelope(t, "", "a@b.example"), nil); err != ErrClosed {
		t.Error(err)
	}
	if err := c.Reset(ctx); err != ErrClosed {
		t.Error(err)
	}
	if err := c.Quit(ctx); err != ErrClosed {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestAuth(t *testing.T) {
	login := func(c sasl.Client, err error) func([]string, *tls.ConnectionState) (sasl.Client, error) {
		return func(offered []string, state *tls.ConnectionState) (sasl.Client, error) {
			if fmt.Sprint(offered) != "[PLAIN LOGIN]" || state != nil {
				return nil, fmt.Errorf("offered %v, TLS %v", offered, state)
			}
			return c, err
		}
	}
	words := "250-fake\n250 AUTH PLAIN LOGIN"
	for _, c := range []struct {
		name  string
		reply map[string]string
		auth  func([]string, *tls.ConnectionState) (sasl.Client, error)
		heard string
		bad   bool
	}{
		{"plain", map[string]string{"EHLO": words, "AUTH": "235 2.7.0 ok"}, login(sasl.NewPlainClient("", "u", "p"), nil), "AUTH PLAIN AHUAcA==", false},
		{"refused", map[string]string{"EHLO": words, "AUTH": "535 5.7.8 no"}, login(sasl.NewPlainClient("", "u", "p"), nil), "AUTH PLAIN AHUAcA==", true},
		{"not offered", map[string]string{}, login(nil, nil), "", true},
		{"nothing fits", map[string]string{"EHLO": words}, login(nil, errBroken), "", true},
		{"challenge", map[string]string{"EHLO": words, "AUTH": "334 cGFzc3dvcmQ=", "UA==": "235 ok"}, login(challenged{}, nil), "AUTH X =\nUA==", false},
		{"unproved", map[string]string{"EHLO": words, "AUTH": "235 ok"}, login(unproved{}, nil), "AUTH X =", true},
		{"bad challenge", map[string]string{"EHLO": words, "AUTH": "334 !", "*": "501 ok"}, login(challenged{}, nil), "AUTH X =\n*", true},
	} {
		f := &fake{reply: c.reply}
		_, err := New(context.Background(), f.start(t), Config{Name: "c", Auth: c.auth})
		heard := f.heard
		if c.bad { // and says goodbye
			heard = f.heardAll
			c.heard = strings.TrimPrefix(c.heard+"\nQUIT", "\n")
			if site := siteError(t, err, StageAuth); !site.Auth {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := strings.TrimPrefix(strings.TrimPrefix(heard(), "EHLO c"), "\n"); got != c.heard {
			t.Errorf("%s: heard %q, want %q", c.name, got, c.heard)
		}
	}
}

// unproved is a mechanism whose server has to prove itself and did not.
type unproved struct{ challenged }

func (unproved) Complete() error { return errBroken }

// challenged answers one challenge and has an empty initial response.
type challenged struct{}

func (challenged) Start() (string, []byte, error)        { return "X", []byte{}, nil }
func (challenged) Next(challenge []byte) ([]byte, error) { return []byte("P"), nil }
