package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/proto/program"
)

var macro = regexp.MustCompile(`\$(?:\{(\w+)\}|\((\w+)\)|(\w+)|\$)`)

// perRecipient are the macros that have a value for each recipient.
var perRecipient = []string{"recipient", "user", "domain", "extension", "mailbox", "original_recipient"}

// perMessage are the others.
var perMessage = []string{
	"sender", "nexthop", "size", "queue_id", "client_address", "client_hostname", "client_helo", "client_protocol", "client_port",
	"sasl_username", "sasl_method", "sasl_sender", "envid",
}

// unknownMacro is the first macro of a text that is in none of the lists.
func unknownMacro(text string, known ...[]string) (name string, bad bool) {
	for _, m := range macro.FindAllStringSubmatch(text, -1) {
		name := m[1] + m[2] + m[3]
		if name != "" && !slices.ContainsFunc(known, func(list []string) bool { return slices.Contains(list, name) }) {
			return name, true
		}
	}
	return "", false
}

// values are the macros of a message, and of each of its recipients.
type values struct {
	message map[string]string
	rcpts   []map[string]string
}

func (c Config) values(cmd Command, r program.Request) values {
	sender := r.Sender
	if sender == "" {
		sender = cmd.Null
	}
	v := values{message: map[string]string{
		"sender": cmd.address(sender), "nexthop": r.NextHop, "size": strconv.FormatInt(r.Size, 10), "queue_id": r.QueueID,
		"client_address": r.ClientAddress, "client_hostname": r.ClientName, "client_helo": r.ClientHelo, "client_protocol": r.ClientProtocol,
		"client_port": r.ClientPort, "sasl_username": r.SASLUser, "sasl_method": r.SASLMethod, "sasl_sender": "", "envid": r.EnvelopeID,
	}}
	for _, rc := range r.Recipients {
		full := cmd.address(rc.Address)
		local, domain := full, ""
		if i := strings.LastIndexByte(full, '@'); i >= 0 {
			local, domain = full[:i], full[i+1:]
		}
		user, detail := addr.Address{Local: local}.Split(c.Delimiter)
		original := rc.Original
		if original == "" {
			original = rc.Address
		}
		v.rcpts = append(v.rcpts, map[string]string{
			"recipient": full, "user": user, "domain": domain, "extension": detail, "mailbox": local, "original_recipient": original,
		})
	}
	return v
}

// address writes an address as the flags want it: unquoted unless q is set.
func (c Command) address(s string) string {
	a, err := addr.Parse(s)
	if err != nil {
		return s
	}
	if strings.Contains(c.Flags, "h") {
		a.Domain = strings.ToLower(a.Domain)
	}
	if strings.Contains(c.Flags, "u") {
		a.Local = strings.ToLower(a.Local)
	}
	switch {
	case strings.Contains(c.Flags, "q"):
		return a.String()
	case a.Domain == "":
		return a.Local
	}
	return a.Local + "@" + a.Domain
}

// argv is the command line. Values go into arguments as they are: there is no
// shell that could read more into them.
func (c Command) argv(v values) []string {
	var out []string
	for i, arg := range c.Argv {
		if i == 0 || !macroOf(arg, perRecipient) {
			out = append(out, expand(arg, v.message, nil))
			continue
		}
		for _, rc := range v.rcpts {
			out = append(out, expand(arg, v.message, rc))
		}
	}
	return out
}

func macroOf(arg string, names []string) bool {
	for _, m := range macro.FindAllStringSubmatch(arg, -1) {
		if slices.Contains(names, m[1]+m[2]+m[3]) {
			return true
		}
	}
	return false
}

func expand(arg string, message, rcpt map[string]string) string {
	return macro.ReplaceAllStringFunc(arg, func(s string) string {
		m := macro.FindStringSubmatch(s)
		name := m[1] + m[2] + m[3]
		if name == "" {
			return "$"
		}
		if v, ok := rcpt[name]; ok {
			return v
		}
		return message[name]
	})
}
