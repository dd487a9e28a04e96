package deliverd

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/proto/smtp/client"
)

// BenchmarkDeliver is one message of 8 KB to one user and to ten, from our own
// client over a Unix socket. Its syncs are the disk's.
func BenchmarkDeliver(b *testing.B) {
	for _, rcpts := range []int{1, 10} {
		b.Run(fmt.Sprintf("rcpts=%d", rcpts), func(b *testing.B) {
			bench := newBench(b, nil, nil)
			c, err := client.New(context.Background(), bench.connect(b), client.Config{Name: "mx.test", LMTP: true})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			env := client.Envelope{From: addr.Address{Local: "x", Domain: "elsewhere.test"}}
			for i := range rcpts {
				user := fmt.Sprintf("user%d", i)
				bench.dir.known[user] = true
				env.To = append(env.To, client.Recipient{To: addr.Address{Local: user, Domain: "example.org"}})
			}
			body := letterText + strings.Repeat("A line of an ordinary message, with some words in it.\r\n", 145)
			b.ReportAllocs()
			for b.Loop() {
				results, err := c.Send(context.Background(), env, strings.NewReader(body))
				if err != nil || !results[rcpts-1].Sent() {
					b.Fatal(results, err)
				}
			}
		})
	}
}
