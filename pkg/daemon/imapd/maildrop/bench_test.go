package maildrop

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pop3 "github.com/postcote/postcote/pkg/proto/pop3/server"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// BenchmarkRETR retrieves messages of 15 KB, sixteen at a time, over a real
// socket.
func BenchmarkRETR(b *testing.B) {
	const count = 500
	dir := b.TempDir()
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "Maildir", d), 0o770); err != nil {
			b.Fatal(err)
		}
	}
	text := "Subject: x\n\n" + strings.Repeat("a line of sixty-three characters, as most letters have them ....\n", 235)
	for i := range count {
		name := fmt.Sprintf("%d.M%dP1.h,S=%d,W=%d:2,S", 1700000000+i, i, len(text), len(text)+237)
		if err := os.WriteFile(filepath.Join(dir, "Maildir/cur", name), []byte(text), 0o660); err != nil {
			b.Fatal(err)
		}
	}
	store, err := mailbox.NewStore(mailbox.Config{IndexRoot: filepath.Join(dir, "index"), NoWatch: true})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close(context.Background())
	a, err := store.Account(context.Background(), mailbox.AccountConfig{User: "alice", Maildir: filepath.Join(dir, "Maildir")})
	if err != nil {
		b.Fatal(err)
	}
	box, err := a.Open(context.Background(), "INBOX")
	if err != nil {
		b.Fatal(err)
	}
	r, _ := Default().Rules()
	d, err := Open(context.Background(), box, &r)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		b.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	go func() { pop3.Run(context.Background(), server, d, pop3.Options{}); server.Close() }()
	go func() {
		w := bufio.NewWriterSize(client, 160)
		for i := range b.N {
			fmt.Fprintf(w, "RETR %d\r\n", i%count+1)
		}
		fmt.Fprint(w, "QUIT\r\n")
		_ = w.Flush()
	}()
	b.SetBytes(int64(len(text)))
	b.ResetTimer()
	_, _ = io.Copy(io.Discard, client)
}
