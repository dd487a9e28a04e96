package postfixcmd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

const postlogOptions = "c:ip:t:v"

// postlog is postlog(1): it writes lines into the mail log, by syslog.
func (t *tool) postlog(_ context.Context, args []string) int {
	opts, words, bad := getopt(args, postlogOptions)
	if bad != 0 {
		t.badOption(postlogOptions, bad)
		return t.fatal(exitError, "usage: postlog [-c config_dir] [-i] [-p priority] [-t tag] [-v] [text...]")
	}
	tag, level := "postfix/postlog", "info"
	for _, o := range opts {
		switch o.letter {
		case 't':
			tag = o.value
		case 'p':
			if level = o.value; !slices.Contains([]string{"info", "warn", "warning", "error", "fatal", "panic"}, level) {
				return t.fatal(exitError, "invalid severity: %s", level)
			}
		}
	}
	if len(words) > 0 {
		return t.logLine(tag, level, strings.Join(words, " "))
	}
	in := bufio.NewScanner(t.Stdin)
	for in.Scan() {
		if code := t.logLine(tag, level, in.Text()); code != exitOK {
			return code
		}
	}
	return exitOK
}

func (t *tool) logLine(tag, level, text string) int {
	switch level {
	case "warn":
		text = "warning: " + text
	case "warning", "error", "fatal", "panic":
		text = level + ": " + text
	}
	if err := t.Log(tag, level, oneLine(text)); err != nil {
		return t.fatal(exitError, "%v", err)
	}
	return exitOK
}

// syslogLine sends one line of facility mail to the local log.
func syslogLine(tag, level, text string) error {
	const facilityMail = 2 << 3
	severity := map[string]int{"info": 6, "warn": 4, "warning": 4, "error": 3, "fatal": 2, "panic": 2}[level]
	conn, err := net.Dial("unixgram", "/dev/log")
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "<%d>%s %s[%d]: %s", facilityMail|severity, time.Now().Format(time.Stamp), oneLine(tag), os.Getpid(), text)
	return err
}
