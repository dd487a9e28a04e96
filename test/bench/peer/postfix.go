package peer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// HasPostfix reports whether a private one can be run: it must be installed, and
// its master wants to be root.
func HasPostfix() bool {
	_, err := exec.LookPath("postfix")
	return err == nil && os.Getuid() == 0
}

// Postfix runs a Postfix below dir. What is for sink.test goes to an LMTP server
// at sink, for hold.test into the hold queue, and for Domain to the LMTP socket.
func Postfix(dir, sink, lmtp string) (*Server, error) {
	for _, d := range []string{"etc", "queue", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := run(dir, "chown", "postfix", filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	if err := writeCertificate(dir); err != nil {
		return nil, err
	}
	var smtp string
	if err := freeAddresses(&smtp); err != nil {
		return nil, err
	}
	daemons, err := exec.Command("postconf", "-d", "-h", "daemon_directory").Output()
	if err != nil {
		return nil, fmt.Errorf("postconf: %w", err)
	}
	etc := filepath.Join(dir, "etc")
	main := fmt.Sprintf(postfixMain, dir, strings.TrimSpace(string(daemons)), sink, lmtp, Domain)
	if err := os.WriteFile(filepath.Join(etc, "main.cf"), []byte(main), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(etc, "master.cf"), []byte(smtp+" inet n - n - - smtpd\n"+postfixMaster), 0o644); err != nil {
		return nil, err
	}
	pid := 0
	start := func() error {
		if err := run(dir, "postfix", "-c", etc, "start"); err != nil {
			return err
		}
		return until(func() bool {
			text, _ := os.ReadFile(filepath.Join(dir, "queue/pid/master.pid"))
			pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
			return pid > 1 && Answers(smtp)()
		})
	}
	s := &Server{Name: "Postfix", SMTP: smtp, roots: func() []int { return []int{pid} }, stop: func() {
		_ = exec.Command("postfix", "-c", etc, "stop").Run()
		_ = until(func() bool { return gone(pid) })
	}}
	s.restart = func() error { s.stop(); return start() }
	if err := start(); err != nil {
		s.Stop()
		log, _ := os.ReadFile(filepath.Join(dir, "maillog"))
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	return s, nil
}

// One host sends everything: what guards against a single client is off, queues
// are as large and connections are kept as long as they may be. Queue files are
// synced, as always.
const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
daemon_directory = %[2]s
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = %[1]s/maillog
maillog_file_prefixes = %[1]s
myhostname = bench.test
mydomain = bench.test
mydestination =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relay_domains = hold.test, sink.test, %[5]s
alias_maps =
alias_database =
transport_maps = inline:{ {sink.test=lmtp:inet:%[3]s}, {%[5]s=lmtp:unix:%[4]s} }
smtpd_recipient_restrictions = check_recipient_access inline:{ {hold.test=HOLD} }, permit_mynetworks, reject
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
disable_dns_lookups = yes
smtp_host_lookup = native
smtpd_peername_lookup = no
biff = no
append_dot_mydomain = no
default_process_limit = 250
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions = $mynetworks
smtpd_tls_security_level = may
smtpd_tls_chain_files = %[1]s/key.pem, %[1]s/cert.pem
smtp_tls_security_level = none
in_flow_delay = 0
qmgr_message_active_limit = 40000
qmgr_message_recipient_limit = 40000
initial_destination_concurrency = 20
default_destination_concurrency_limit = 50
lmtp_connection_cache_on_demand = yes
smtp_connection_cache_on_demand = yes
lmtp_connection_reuse_count_limit = 0
hash_queue_names = deferred, defer, incoming, active, hold, bounce, flush
message_size_limit = 52428800
mailbox_size_limit = 0
`

const postfixMaster = `pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`
