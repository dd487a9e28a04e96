package mtad

import (
	"context"
	"crypto/tls"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/sasl"
	smtpclient "github.com/postcote/postcote/pkg/proto/smtp/client"
)

// A certificate of our authority logs in the user it names and nobody else;
// without one EXTERNAL is neither offered nor served.
func TestExternal(t *testing.T) {
	w := newWorld(t)
	pair := func(name string) (certFile string, cert tls.Certificate) {
		certFile = filepath.Join(w.dir, name+".pem")
		key := filepath.Join(w.dir, name+".key")
		err := tlsx.WriteSelfSigned(certFile, key, []string{"joe"}, time.Now(), time.Hour)
		if err == nil {
			cert, err = tls.LoadX509KeyPair(certFile, key)
		}
		if err != nil {
			t.Fatal(err)
		}
		return certFile, cert
	}
	ca, ours := pair("ours")
	_, foreign := pair("foreign")
	w.cfg.TLS.ClientCAFile = ca
	w.start()
	for _, tc := range []struct {
		what, authzid string
		cert          *tls.Certificate
		offered       bool
		refused       string // "": let in
	}{
		{"ours", "", &ours, true, ""},
		{"ours, as its name", "joe", &ours, true, ""},
		{"ours, as ann", "ann", &ours, true, "authentication failed: (reason unavailable)"},
		{"foreign", "", &foreign, false, "Invalid authentication mechanism"},
		{"foreign, as joe", "joe", &foreign, false, "Invalid authentication mechanism"},
		{"none", "joe", nil, false, "Invalid authentication mechanism"},
	} {
		cfg := smtpclient.Config{Name: "client.example", TLSMode: smtpclient.ImplicitTLS, TLS: tlsx.Opportunistic("")}
		if tc.cert != nil {
			cfg.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tc.cert, nil }
		}
		cfg.Auth = func(offered []string, _ *tls.ConnectionState) (gosasl.Client, error) {
			if slices.Contains(offered, "EXTERNAL") != tc.offered {
				t.Errorf("%s: offered %q", tc.what, offered)
			}
			return sasl.NewClient("EXTERNAL", sasl.Credentials{Authzid: tc.authzid})
		}
		conn, err := smtpclient.New(context.Background(), w.connect("smtps/smtpd"), cfg)
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != (tc.refused == "") || err != nil && !strings.Contains(err.Error(), tc.refused) {
			t.Errorf("%s: %v", tc.what, err)
		}
	}
}
