package mtad

import (
	"strings"
	"testing"
)

// limited is a world in which steps are played under a configuration.
func limited(t *testing.T, set string, steps ...string) {
	t.Helper()
	p := &player{t: t, w: newWorld(t)}
	play(t, p, "set "+set+"\n"+strings.Join(steps, "\n"))
}

// TestLineLength: limits.line_length is the longest command.
func TestLineLength(t *testing.T) {
	t.Parallel()
	limited(t, `{limits: {line_length: 1000}}`,
		"connect smtpd", "S: 220 *",
		"C: NOOP "+strings.Repeat("x", 995), "S: 250 2.0.0 Ok",
		"C: NOOP "+strings.Repeat("x", 996), "S: 500 5.5.2 Error: command line too long",
		"log: postfix/smtpd: warning: unknown[127.0.0.1]: request longer than 1000",
		"C: "+strings.Repeat("x", 70000), "S: 500 5.5.2 Error: command line too long",
		"C: QUIT", "S: 221 *",
	)
}

// TestHeaderSize: limits.header_size is how much of a header can be edited;
// what need not be edited may be longer.
func TestHeaderSize(t *testing.T) {
	t.Parallel()
	begin := []string{"C: MAIL FROM:<s@far.example>", "S: 250 *", "C: RCPT TO:<joe@ours.example>", "S: 250 *", "C: DATA", "S: 354 *", "C: Subject: x"}
	message := func(n int, last string) []string {
		out := append([]string(nil), begin...)
		for ; n > 0; n-- {
			out = append(out, "C: X-Long: "+strings.Repeat("x", 90)) // 102 octets with CRLF
		}
		return append(out, last, "C:", "C: text", "C: .")
	}
	steps := []string{"connect smtpd", "S: 220 *", "C: HELO far.example", "S: 250 *"}
	steps = append(steps, message(39, "C: Bcc: hidden@ours.example")...)
	steps = append(steps, "S: 250 2.0.0 Ok: queued as *", "lmtp joe@ours.example: 1", "has X-Long", "hasnt Bcc")
	steps = append(steps, message(50, "C: Bcc: hidden@ours.example")...)
	steps = append(steps, "S: 552 5.3.4 Error: message header is too large",
		"log: *: reject: END-OF-MESSAGE from unknown[127.0.0.1]: 552 5.3.4 Error: message header is too large; from=<s@far.example> proto=SMTP helo=<far.example>")
	steps = append(steps, message(50, "C: Cc: shown@ours.example")...)
	steps = append(steps, "S: 250 2.0.0 Ok: queued as *", "lmtp joe@ours.example: 2", "has Cc: shown@ours.example", "queued 0")
	limited(t, `{limits: {header_size: 4KiB}}`, steps...)
}

// TestRemoteLineLength: remote.line_length_limit breaks longer lines for other
// hosts, and no line for the delivery agent.
func TestRemoteLineLength(t *testing.T) {
	t.Parallel()
	send := []string{
		"connect submit", "S: 220 *", "C: HELO x", "S: 250 *",
		"C: MAIL FROM:<joe@ours.example>", "S: 250 *", "C: RCPT TO:<x@far.example>", "S: 250 *", "C: RCPT TO:<ann@ours.example>", "S: 250 *",
		"C: DATA", "S: 354 *", "C: Subject: x", "C:", "C: 0123456789abcdef", "C: 0123456789abcdefg", "C: .", "S: 250 *",
		"lmtp ann@ours.example: 1", `has \r\n0123456789abcdef\r\n0123456789abcdefg\r\n`, "far x@far.example: 1",
	}
	limited(t, `{remote: {line_length_limit: 16}}`, append(send, `has \r\n0123456789abcdef\r\n0123456789abcdef\r\n g\r\n`)...)
	limited(t, `{remote: {line_length_limit: 0}}`, append(send, `has \r\n0123456789abcdef\r\n0123456789abcdefg\r\n`)...)
}

// TestSASLResponse: smtpd.sasl_response_limit is the longest response of a login.
func TestSASLResponse(t *testing.T) {
	t.Parallel()
	limited(t, `{smtpd: {sasl_response_limit: 512}, listeners: [{listen: "127.0.0.1:0", role: mx, auth: clear}]}`,
		"connect smtpd", "S: 220 *", "C: HELO client.example", "S: 250 *",
		"C: AUTH LOGIN", "S: 334 *", "C: "+strings.Repeat("YWFh", 128), "S: 334 *", "C: *", "S: 501 5.7.0 *",
		"C: AUTH LOGIN", "S: 334 *", "C: "+strings.Repeat("YWFh", 129), "S: 500 5.5.6 SASL response limit exceeded",
		"log: postfix/smtpd: warning: unknown[127.0.0.1]: request longer than 512",
		"C: QUIT", "S: 221 *",
	)
}
