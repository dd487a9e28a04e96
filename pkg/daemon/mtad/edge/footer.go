package edge

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// footerPatience is how long a table may take over a footer. The client waits.
const footerPatience = 2 * time.Second

// Footer is what stands behind refusals.
type Footer struct {
	template string
	tables   maps.Map
	server   string
	warn     func(text string, err error)
}

// NewFooter is the footer of a host; nil when there is none. warn (nil:
// nobody) hears of tables that cannot be asked. Errors: fail.Invalid.
func (c *Config) NewFooter(host string, o lookup.Options, warn func(text string, err error)) (*Footer, error) {
	if c.Footer == "" && len(c.FooterMaps) == 0 {
		return nil, nil
	}
	tables, err := maps.Open("smtpd.reject_footer_maps", c.FooterMaps, o)
	return &Footer{template: c.Footer, tables: tables, server: host, warn: warn}, err
}

const footerTime = "Jan _2 15:04:05"

// Add puts the footer behind a reply.
func (f *Footer) Add(r server.Reply, client netip.AddrPort, now time.Time) server.Reply {
	text := f.text(r)
	if text == "" {
		return r
	}
	text, joined := strings.CutPrefix(text, `\c`)
	address, port := "unknown", "unknown"
	if client.IsValid() {
		address, port = client.Addr().Unmap().WithZone("").String(), strconv.Itoa(int(client.Port()))
	}
	pairs := []string{`\n`, "\n"}
	for _, v := range [][2]string{{"client_address", address}, {"client_port", port}, {"localtime", now.Format(footerTime)}, {"server_name", f.server}} {
		pairs = append(pairs, "$"+v[0], v[1], "${"+v[0]+"}", v[1])
	}
	if !joined {
		r.Text += "\n"
	}
	r.Text += strings.NewReplacer(pairs...).Replace(text)
	return r
}

// text is the template for a reply. Without an answer of the tables the reply
// goes out all the same, with the usual footer.
func (f *Footer) text(r server.Reply) string {
	if f.tables.Empty() {
		return f.template
	}
	ctx, cancel := context.WithTimeout(context.Background(), footerPatience)
	defer cancel()
	own, err := f.tables.Lookup(ctx, r.String())
	switch {
	case err == nil:
		return own
	case !fail.Is(err, fail.NotFound) && f.warn != nil:
		f.warn("a table of footers cannot be asked", err)
	}
	return f.template
}
