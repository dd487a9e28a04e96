package mtad

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/daemon/mtad/postfixcmd"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// postconfOf runs postconf with a configuration file of this text.
func postconfOf(t *testing.T, yaml string, args ...string) ran {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mtad.yaml")
	if yaml != "" {
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errout bytes.Buffer
	code, ok := postfixcmd.Run(context.Background(), &postfixcmd.System{
		Args: append([]string{"/usr/sbin/postconf", "-c", file}, args...), Stdout: &out, Stderr: &errout,
		Getenv: func(string) string { return "" }, FS: disk.OS(), Settings: toolSettings,
	})
	if !ok {
		t.Fatal("postconf is no command")
	}
	return ran{code, out.String(), errout.String()}
}

const postconfYAML = `hostname: mail.example.org
listeners: [{listen: "192.0.2.1:25", auth: none}, {listen: "[2001:db8::1]:587", role: submission}]
domains: {mailbox: [example.org], local: [mail.example.org, localhost], local_tables: ["texthash:/etc/postcote/local"]}
trusted_networks: [127.0.0.0/8, "::1/128"]
relayhost: "[smtp.example.net]:587"
remote: {tls_ca_file: /}
rewrite: {alias_maps: ["hash:/etc/aliases"]}
queue: {lifetime: 36h, max_backoff: 90s, default: {destination_concurrency: 7, delivery_slot_cost: 0}, transports: {smtp: {positive_feedback: 1/concurrency, failed_cohort_limit: -1}}}
transports: {slow: {type: smtp, destination_rate_delay: 2s}}
`

// What installers, maintainer scripts and list managers ask.
func TestPostconfAsCallersUseIt(t *testing.T) {
	for _, c := range []struct {
		args   string
		out    string
		errout string
		code   int
	}{
		{args: "-h smtp_tls_CAfile smtp_tls_CApath smtpd_tls_loglevel smtp_tls_loglevel smtp_skip_5xx_greeting", out: "\n/\n1\n0\nyes\n"},
		{args: "-h myhostname", out: "mail.example.org\n"},
		{args: "-h mail_version mail_name", out: "3.7.11\nPostcote\n"},
		{args: "mydestination relayhost", out: "mydestination = mail.example.org, localhost, texthash:/etc/postcote/local\nrelayhost = [smtp.example.net]:587\n"},
		{args: "-xh mydomain myorigin", out: "example.org\nmail.example.org\n"},
		{args: "-h mynetworks inet_interfaces", out: "127.0.0.0/8 [::1]/128\n192.0.2.1, 2001:db8::1\n"},
		{args: "-h queue_directory", out: "/var/lib/postcote/mtad/queue\n"},
		{args: "-h alias_maps alias_database", out: "hash:/etc/aliases\nhash:/etc/aliases\n"},
		{args: "-h virtual_transport", out: "lmtp:unix:/run/postcote-deliverd/lmtp\n"},
		{args: "maximal_queue_lifetime maximal_backoff_time", out: "maximal_queue_lifetime = 36h\nmaximal_backoff_time = 90s\n"},
		{args: "-h smtpd_tls_security_level smtpd_sasl_auth_enable smtpd_tls_auth_only", out: "may\nyes\nyes\n"},
		{args: "-h default_destination_concurrency_positive_feedback default_destination_rate_delay initial_destination_concurrency", out: "1\n0s\n5\n"},
		{args: "-h default_delivery_slot_cost", out: "5\n"},
		{args: "-h smtp_destination_concurrency_positive_feedback smtp_destination_concurrency_failed_cohort_limit", out: "1 / concurrency\n0\n"},
		{args: "-h smtp_destination_concurrency_limit smtp_initial_destination_concurrency", out: "$default_destination_concurrency_limit\n$initial_destination_concurrency\n"},
		{args: "-xh smtp_destination_concurrency_limit lmtp_transport_rate_delay", out: "7\n0s\n"},
		{args: "-h local_destination_concurrency_limit local_destination_recipient_limit slow_destination_rate_delay", out: "2\n1\n2s\n"},
		{args: "always_bcc", out: "always_bcc =\n"},
		{args: "-d relayhost maximal_backoff_time", out: "relayhost =\nmaximal_backoff_time = 4000s\n"},
		{args: "-n relayhost message_size_limit", out: "relayhost = [smtp.example.net]:587\n"},
		{args: "-H relayhost", out: "relayhost\n"},
		{args: "-a", out: "dovecot\n"},
		{args: "nosuch myhostname", out: "myhostname = mail.example.org\n", errout: "postconf: warning: nosuch: unknown parameter\n"},
		{args: "-e relayhost=x", errout: "mtad.yaml, relayhost is relayhost\n", code: 1},
		{args: "-e smtp_destination_recipient_limit=1", errout: "smtp_destination_recipient_limit is queue.transports.smtp.recipients\n", code: 1},
		{args: "-e mydestination=a smtpd_tls_security_level=may mail_name=x foo=1", errout: "mydestination is domains.local; smtpd_tls_security_level is listeners.tls; mail_name cannot be set; foo is not known, see main-cf.md of the manual\n", code: 1},
		{args: "relayhost=x", errout: "postconf: fatal: there is no main.cf to change: in ", code: 1},
		{args: "-X relayhost", errout: "postconf: fatal: there is no main.cf to change: in ", code: 1},
		{args: "-# relayhost", errout: "postconf: fatal: there is no main.cf to change: in ", code: 1},
		{args: "-M submission/inet", errout: "postconf: fatal: there is no master.cf: ", code: 1},
		{args: "-dn", errout: "postconf: fatal: specify one of -d -n\n", code: 1},
		{args: "-Z", errout: "postconf: invalid option -- 'Z'\npostconf: fatal: usage: postconf ", code: 1},
		{args: "-t x", errout: "postconf: fatal: option -t is not known here; usage: ", code: 1},
	} {
		got := postconfOf(t, postconfYAML, strings.Fields(c.args)...)
		if got.code != c.code || got.out != c.out || !strings.Contains(got.errout, c.errout) || c.errout == "" && got.errout != "" {
			t.Errorf("postconf %s: exit %d, %q, %q", c.args, got.code, got.out, got.errout)
		}
	}
}

func TestPostconfLists(t *testing.T) {
	if got := postconfOf(t, postconfYAML, "-m"); !strings.Contains(got.out, "hash\n") || !strings.Contains(got.out, "socketmap\n") || got.code != 0 {
		t.Errorf("-m: %+v", got)
	}
	changed := postconfOf(t, postconfYAML, "-n").out
	if !strings.Contains(changed, "default_destination_concurrency_limit = 7\n") || strings.Contains(changed, "message_size_limit") {
		t.Errorf("-n: %s", changed)
	}
	all := strings.Split(strings.TrimSpace(postconfOf(t, postconfYAML).out), "\n")
	if len(all) < 100 || !strings.HasPrefix(all[0], "2bounce_notice_recipient = ") {
		t.Errorf("%d parameters, %q", len(all), all[0])
	}
}

// Values that hold somewhere else are not given for those of a file that
// cannot be read.
func TestPostconfWithoutConfiguration(t *testing.T) {
	for _, yaml := range []string{"", "nosuch: 1\n"} {
		if got := postconfOf(t, yaml, "-h", "myhostname"); got.code != 1 || got.out != "" || !strings.HasPrefix(got.errout, "postconf: fatal: ") {
			t.Errorf("%q: %+v", yaml, got)
		}
	}
}

// The manual's table of main.cf has every parameter that postconf knows.
func TestParametersOfTheManual(t *testing.T) {
	text, err := os.ReadFile("../../../docs/mtad/main-cf.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range mainCF() {
		row := "| `" + p.name + "` | `" + p.key + "` |"
		if p.key == "" {
			row = "| `" + p.name + "` | |"
		}
		if !strings.Contains(string(text), row+"\n") {
			t.Errorf("docs/mtad/main-cf.md lacks\n%s", row)
		}
	}
}

// Programs give names without a domain, and sendmail completes them as mtad
// would.
func TestSendmailsOrigin(t *testing.T) {
	for yaml, want := range map[string]string{
		"hostname: web1.example.org\n":                                   "web1.example.org",
		"hostname: web1.example.org\nrewrite: {myorigin: example.org}\n": "example.org",
	} {
		file := filepath.Join(t.TempDir(), "mtad.yaml")
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := toolSettings(file, true); err != nil || s.Origin != want {
			t.Errorf("%q: %q, %v, want %q", yaml, s.Origin, err, want)
		}
	}
}
