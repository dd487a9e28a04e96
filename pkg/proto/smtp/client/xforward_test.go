package client

import (
	"context"
	"strings"
	"testing"
)

// A content filter hears from whom a message came: the attributes that it asks
// for and that are known, in two commands; its refusal changes nothing.
func TestForward(t *testing.T) {
	whole := &Forward{Name: "client.example", Addr: "2001:db8::1", Port: "4711", Proto: "ESMTP", Helo: "a b+c", Ident: "QID", Source: "REMOTE"}
	for name, tc := range map[string]struct {
		offered string
		f       *Forward
		want    []string
	}{
		"all": {"\n250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE", whole, []string{
			"XFORWARD NAME=client.example ADDR=IPV6:2001:db8::1 PORT=4711", "XFORWARD PROTO=ESMTP HELO=a+20b+2Bc IDENT=QID SOURCE=REMOTE",
		}},
		"some":          {"\n250-XFORWARD name HELO", whole, []string{"XFORWARD NAME=client.example", "XFORWARD HELO=a+20b+2Bc"}},
		"little known":  {"\n250-XFORWARD NAME ADDR PROTO SOURCE", &Forward{Source: "LOCAL"}, []string{"XFORWARD SOURCE=LOCAL"}},
		"nothing known": {"\n250-XFORWARD NAME ADDR", &Forward{Source: "LOCAL"}, nil},
		"not offered":   {"", whole, nil},
		"nobody asks":   {"\n250-XFORWARD NAME", nil, nil},
	} {
		for _, reply := range []string{"250 2.0.0 Ok", "550 5.7.0 no"} {
			f := &fake{reply: map[string]string{"EHLO": "250-fake" + tc.offered + "\n250 PIPELINING", "XFORWARD": reply}}
			c := open(t, f, Config{})
			env := envelope(t, "a@b.example", "one@b.example")
			env.Forward = tc.f
			got, err := c.Send(context.Background(), env, strings.NewReader(message))
			if err != nil || !got[0].Sent() {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			want := strings.Join(append(append([]string{"EHLO client.test"}, tc.want...), "MAIL FROM:<a@b.example>"), "\n") + "\n"
			if heard := f.heard(); !strings.HasPrefix(heard, want) {
				t.Errorf("%s: heard\n%s", name, heard)
			}
		}
	}
}
