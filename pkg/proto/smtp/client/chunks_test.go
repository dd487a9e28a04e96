package client

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// chunking is a server that takes BDAT, or says text to each.
func chunking(text string) *fake {
	f := &fake{reply: map[string]string{"EHLO": "250-fake\n250-PIPELINING\n250-8BITMIME\n250 CHUNKING"}}
	if text != "" {
		f.reply["BDAT"] = text
	}
	return f
}

func chunked(t *testing.T, size int64, to ...string) Envelope {
	t.Helper()
	env := envelope(t, "a@b.example", to...)
	env.Chunks, env.Size = true, size
	return env
}

const (
	dotted   = "Subject: x\n\n.dot\nlast"
	dottedOK = "Subject: x\r\n\r\n.dot\r\nlast\r\n"
)

// A small message leaves with its recipients, and one of unknown size behind
// their replies. No dot is stuffed, and lines end as they must.
func TestOneChunk(t *testing.T) {
	for _, cfg := range []Config{{}, {SkipPipelining: true}} {
		for _, size := range []int64{0, 22} {
			f := chunking("")
			c := open(t, f, cfg)
			for range 2 {
				got, err := c.Send(context.Background(), chunked(t, size, "one@b.example", "two@b.example"), strings.NewReader(dotted))
				if err != nil || !got[0].Sent() || got[0].Stage != StageChunk || got[1] != got[0] {
					t.Fatalf("%+v, %v", got, err)
				}
				if got := f.taken(); got != dottedOK {
					t.Errorf("%q", got)
				}
			}
			once := "MAIL FROM:<a@b.example>\nRCPT TO:<one@b.example>\nRCPT TO:<two@b.example>\nBDAT 26 LAST"
			if got := f.heard(); got != "EHLO client.test\n"+once+"\n"+once {
				t.Errorf("heard\n%s", got)
			}
		}
	}
}

// commands is a Recorder of what we say.
type commands []string

func (c *commands) Out(line string) { *c = append(*c, line) }
func (c *commands) In(string)       {}

// More than a server's buffers hold goes in chunks, whose replies are read on
// the way.
func TestManyChunks(t *testing.T) {
	text := strings.Repeat(strings.Repeat("0123456789", 7)+"\r\n", 3*maxChunks*chunkSize/72)
	for _, cfg := range []Config{{}, {SkipPipelining: true}} {
		f := chunking("")
		var record commands
		cfg.Record = &record
		c := open(t, f, cfg)
		got, err := c.Send(context.Background(), chunked(t, int64(len(text)), "one@b.example"), strings.NewReader(text))
		if err != nil || !got[0].Sent() || f.taken() != text {
			t.Fatalf("%+v, %v", got, err)
		}
		heard := f.heard()
		if n := strings.Count(heard, "BDAT "); n < 2*maxChunks || !strings.HasSuffix(heard, " LAST") || strings.Count(heard, "LAST") != 1 {
			t.Errorf("%d chunks:\n%s", n, heard)
		}
		if got := strings.Join(record, "\n"); got != heard {
			t.Errorf("the transcript has\n%s\nof\n%s", got, heard)
		}
	}
}

// A refused chunk is the end of the message, not of the session.
func TestChunkRefused(t *testing.T) {
	for name, text := range map[string]string{"one": dotted + "!", "several": strings.Repeat("x\r\n", 3*chunkSize)} {
		f := chunking("")
		f.bdat = func(line string) string {
			if line == "BDAT 26 LAST" {
				return "250 ok"
			}
			return "552 5.3.4 too big"
		}
		c := open(t, f, Config{})
		got, err := c.Send(context.Background(), chunked(t, int64(len(text)), "one@b.example"), strings.NewReader(text))
		if err != nil || got[0].Code != 552 || got[0].Stage != StageChunk || got[0].NoChunks() || !c.Usable() {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if got, err = c.Send(context.Background(), chunked(t, 9, "one@b.example"), strings.NewReader(dotted)); err != nil || !got[0].Sent() {
			t.Errorf("%s: again: %+v, %v", name, got, err)
		}
		if !strings.Contains(f.heard(), "\nRSET\nMAIL") {
			t.Errorf("%s: heard\n%s", name, f.heard())
		}
	}
}

// A server that does not know the BDAT that it announced takes content for
// commands: the connection ends, and the result says why.
func TestChunkUnknown(t *testing.T) {
	f := chunking("500 5.5.2 what")
	c := open(t, f, Config{})
	got, err := c.Send(context.Background(), chunked(t, 9, "one@b.example"), strings.NewReader(dotted))
	if err != nil || !got[0].NoChunks() || c.Usable() {
		t.Errorf("%+v, %v", got, err)
	}
	f = chunking(hang)
	c = open(t, f, Config{})
	_, err = c.Send(context.Background(), chunked(t, 9, "one@b.example"), strings.NewReader(dotted))
	if site := siteError(t, err, StageEnd); !site.Chunk {
		t.Errorf("%+v", site)
	}
}

// Nobody is accepted: what the server says of a chunk that it had to drop does
// not matter.
func TestChunkForNobody(t *testing.T) {
	for text, usable := range map[string]bool{"503 5.5.1 no recipients": true, "554 5.5.1 no recipients": true, "500 what": false} {
		f := chunking(text)
		f.rcpt = func(string) string { return "550 5.1.1 no such user" }
		c := open(t, f, Config{})
		got, err := c.Send(context.Background(), chunked(t, 9, "one@b.example"), strings.NewReader(dotted))
		if err != nil || got[0].Stage != StageRcpt || !got[0].Permanent() || c.Usable() != usable {
			t.Errorf("%s: %+v, %v, usable %v", text, got, err, c.Usable())
		}
	}
}

// Half a message is never ended.
func TestChunkBroken(t *testing.T) {
	for name, text := range map[string]string{"small": dotted, "large": strings.Repeat("x\r\n", chunkSize)} {
		f := chunking("")
		c := open(t, f, Config{})
		got, err := c.Send(context.Background(), chunked(t, int64(len(text)), "one@b.example"), broken{strings.NewReader(text)})
		var content *ContentError
		if !errors.As(err, &content) || !errors.Is(err, errBroken) || got[0].Known() {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if strings.Contains(f.heard(), "LAST") {
			t.Errorf("%s: heard\n%s", name, f.heard())
		}
	}
}

// LMTP, probes, servers without CHUNKING and callers that do not ask for it
// see no BDAT.
func TestNoChunks(t *testing.T) {
	for name, change := range map[string]func(*fake, *Config, *Envelope){
		"not asked":    func(_ *fake, _ *Config, e *Envelope) { e.Chunks = false },
		"not offered":  func(f *fake, _ *Config, _ *Envelope) { delete(f.reply, "EHLO") },
		"hidden":       func(_ *fake, c *Config, _ *Envelope) { c.Discard = []string{"CHUNKING"} },
		"local":        func(f *fake, c *Config, _ *Envelope) { c.LMTP, f.reply["LHLO"] = true, f.reply["EHLO"] },
		"verification": func(_ *fake, _ *Config, e *Envelope) { e.Verify = true },
	} {
		f := chunking("")
		var cfg Config
		env := chunked(t, 9, "one@b.example")
		change(f, &cfg, &env)
		c := open(t, f, cfg)
		if got, err := c.Send(context.Background(), env, strings.NewReader(dotted)); err != nil || !got[0].Sent() {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if strings.Contains(f.heard(), "BDAT") {
			t.Errorf("%s: heard\n%s", name, f.heard())
		}
	}
}
