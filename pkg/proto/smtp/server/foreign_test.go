package server

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// go-smtp's client submits over STARTTLS with AUTH.
func TestForeignSubmission(t *testing.T) {
	records := make(chan string, 1000)
	cfg := configure(t, map[string]string{"tls": "required", "auth": "yes", "dsn": "yes"}, records)
	_, pool := certificate()
	c, err := smtp.NewClientStartTLS(start(t, cfg), &tls.Config{RootCAs: pool, ServerName: "mx.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(sasl.NewLoginClient("joe", "secret")); err != nil {
		t.Fatal(err)
	}
	if size, ok := c.MaxMessageSize(); !ok || size != 50<<20 {
		t.Errorf("size %d %v", size, ok)
	}
	if err := c.Mail("a@b.example", &smtp.MailOptions{Size: 100, Body: smtp.Body8BitMIME, UTF8: true, EnvelopeID: "x+y", Return: smtp.DSNReturnHeaders}); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("550-5-1-1@b.example", nil); !isCode(err, 550) {
		t.Fatalf("unknown recipient: %v", err)
	}
	if err := c.Rcpt("b@b.example", &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyFailure}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "o+x@b.example"}); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "Subject: x\n\n.dot\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	var log string
	for r := range records {
		log += r + "\n"
		if strings.HasPrefix(r, "close ") {
			break
		}
	}
	for _, want := range []string{
		`mail 1 <a@b.example> size=100 body=8BITMIME utf8=true ret=HDRS envid="x+y"`,
		`rcpt 2 <b@b.example> notify=[FAILURE] orcpt=RFC822;o+x@b.example`,
		`message "Subject: x\r\n\r\n.dot\r\n"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
}

// A wrong password is 535, and a backend that is down is not.
func TestForeignLoginRefused(t *testing.T) {
	for user, code := range map[string]int{"joe": 535, "down": 454} {
		c := smtp.NewClient(start(t, configure(t, map[string]string{"auth": "clear"}, make(chan string, 1000))))
		if err := c.Auth(sasl.NewPlainClient("", user, "wrong")); !isCode(err, code) {
			t.Errorf("%s: %v", user, err)
		}
		c.Close()
	}
}

// go-smtp's LMTP client gets each recipient's own reply.
func TestForeignLMTP(t *testing.T) {
	records := make(chan string, 1000)
	c := smtp.NewClientLMTP(start(t, configure(t, map[string]string{"lmtp": "yes"}, records)))
	defer c.Close()
	err := c.SendMail("a@b.example", []string{"one@b.example", "end-452-4-2-2@b.example", "three@b.example"}, strings.NewReader("Subject: x\r\n\r\nhi\r\n"))
	var each smtp.LMTPDataError
	if !errors.As(err, &each) || len(each) != 1 || !isCode(each["end-452-4-2-2@b.example"], 452) {
		t.Errorf("%#v", err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}

func isCode(err error, code int) bool {
	var e *smtp.SMTPError
	return errors.As(err, &e) && e.Code == code
}
