package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// hasDovecot reports whether a private one can be run: it must be installed, and
// its master wants to be root.
func hasDovecot() bool {
	_, err := exec.LookPath("dovecot")
	_, err2 := exec.LookPath("doveadm")
	return err == nil && err2 == nil && os.Getuid() == 0
}

// startDovecot runs a Dovecot below dir; config is what is not its base.
func startDovecot(dir, config string, ready func() bool) (*process, error) {
	conf := filepath.Join(dir, "dovecot.conf")
	text := fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postcote-bench
log_path = %[1]s/log
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
default_client_limit = 20000
default_vsz_limit = 1G
%[2]s`, dir, config)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(dir, "output")) // not a pipe: the daemon would hold it open
	if err != nil {
		return nil, err
	}
	defer out.Close()
	start := exec.Command("dovecot", "-c", conf)
	start.Stdout, start.Stderr = out, out
	if err := start.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return nil, fmt.Errorf("dovecot: %w\n%s", err, said)
	}
	p := &process{ends: func() { _ = exec.Command("doveadm", "-c", conf, "stop").Run() }}
	err = until(func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "run/master.pid"))
		p.pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return p.pid > 1 && ready()
	})
	if err != nil {
		p.stop()
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, fmt.Errorf("dovecot: %w\n%s", err, log)
	}
	return p, nil
}
