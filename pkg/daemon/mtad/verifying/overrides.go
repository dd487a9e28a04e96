package verifying

import (
	"slices"

	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
)

// none is the value of an override by which probes go without.
const none = "none"

// Overrides are ways of probes that are not those of mail, as Postfix's
// address_verify_relayhost and the like. Empty takes what mail has.
type Overrides struct {
	RelayHost           string   `yaml:"relayhost" reload:"true" example:"none" doc:"relayhost of probes; none asks each domain's own MX. A relay host that takes every address tells nothing. Empty, here and in the keys below: as for mail."`
	TransportMaps       []string `yaml:"transport_maps" reload:"true" doc:"transport_maps of probes; none for none."`
	SenderRelayHosts    []string `yaml:"sender_dependent_relayhost_maps" reload:"true" doc:"sender_dependent_relayhost_maps of probes, by address_verify.sender; none for none."`
	SenderTransportMaps []string `yaml:"sender_dependent_default_transport_maps" reload:"true" doc:"sender_dependent_default_transport_maps of probes; none for none."`
	DefaultTransport    string   `yaml:"default_transport" reload:"true" doc:"default_transport of probes."`
	RelayTransport      string   `yaml:"relay_transport" reload:"true" doc:"relay_transport of probes."`
	LocalTransport      string   `yaml:"local_transport" reload:"true" doc:"local_transport of probes."`
	VirtualTransport    string   `yaml:"virtual_transport" reload:"true" doc:"virtual_transport of probes."`
}

// Any reports whether there is an override.
func (o Overrides) Any() bool {
	return o.RelayHost != "" || len(o.TransportMaps)+len(o.SenderRelayHosts)+len(o.SenderTransportMaps) > 0 ||
		o.DefaultTransport != "" || o.RelayTransport != "" || o.LocalTransport != "" || o.VirtualTransport != ""
}

// Apply is c with the overrides.
func (o Overrides) Apply(c routing.Config) routing.Config {
	for _, k := range []struct {
		into  *string
		value string
	}{
		{&c.RelayHost, o.RelayHost},
		{&c.DefaultTransport, o.DefaultTransport},
		{&c.RelayTransport, o.RelayTransport},
		{&c.LocalTransport, o.LocalTransport},
		{&c.VirtualTransport, o.VirtualTransport},
	} {
		if k.value != "" {
			*k.into = k.value
		}
		if k.value == none {
			*k.into = ""
		}
	}
	for _, k := range []struct {
		into  *[]string
		value []string
	}{{&c.TransportMaps, o.TransportMaps}, {&c.SenderRelayHosts, o.SenderRelayHosts}, {&c.SenderTransportMaps, o.SenderTransportMaps}} {
		if len(k.value) > 0 {
			*k.into = k.value
		}
		if slices.Equal(k.value, []string{none}) {
			*k.into = nil
		}
	}
	return c
}
