package conf

import "testing"

func TestNetwork(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"192.0.2.1", "192.0.2.1/32"},
		{"192.0.2.0/24", "192.0.2.0/24"},
		{"::1", "::1/128"},
		{"2001:db8::/32", "2001:db8::/32"},
		{"10.1.2.3/8", ""},
		{"fe80::1%eth0", ""},
		{"example.org", ""},
		{"", ""},
		{"10.0.0.0/33", ""},
	} {
		var n Network
		err := n.UnmarshalText([]byte(c.in))
		if (err == nil) != (c.out != "") || err == nil && n.String() != c.out {
			t.Errorf("%q: %v %v, want %q", c.in, n, err, c.out)
		}
	}
}
