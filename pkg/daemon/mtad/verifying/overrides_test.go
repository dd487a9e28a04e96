package verifying

import (
	"reflect"
	"testing"

	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
)

// The ways of probes are those of mail but for what is said of them.
func TestOverrides(t *testing.T) {
	mail := routing.Config{RelayHost: "[relay.example]", TransportMaps: []string{"texthash:/a"}, DefaultTransport: "out:", SenderRelayHosts: []string{"texthash:/b"}}
	with := func(change func(c *routing.Config)) routing.Config {
		c := mail
		change(&c)
		return c
	}
	for _, k := range []struct {
		o    Overrides
		any  bool
		want routing.Config
	}{
		{Overrides{}, false, mail},
		{Overrides{RelayHost: "none"}, true, with(func(c *routing.Config) { c.RelayHost = "" })},
		{Overrides{RelayHost: "[other.example]"}, true, with(func(c *routing.Config) { c.RelayHost = "[other.example]" })},
		{Overrides{TransportMaps: []string{"none"}, DefaultTransport: "none"}, true, with(func(c *routing.Config) { c.TransportMaps, c.DefaultTransport = nil, "" })},
		{Overrides{SenderRelayHosts: []string{"texthash:/c"}}, true, with(func(c *routing.Config) { c.SenderRelayHosts = []string{"texthash:/c"} })},
		{Overrides{VirtualTransport: "lmtp:unix:/x", LocalTransport: "error:no", RelayTransport: "smtp:"}, true, with(func(c *routing.Config) {
			c.VirtualTransport, c.LocalTransport, c.RelayTransport = "lmtp:unix:/x", "error:no", "smtp:"
		})},
	} {
		if got := k.o.Apply(mail); !reflect.DeepEqual(got, k.want) || k.o.Any() != k.any {
			t.Errorf("%+v: any %v, %+v", k.o, k.o.Any(), got)
		}
	}
}
