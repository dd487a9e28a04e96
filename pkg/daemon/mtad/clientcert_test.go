package mtad

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/sasl"
	smtpclient "github.com/postcote/postcote/pkg/proto/smtp/client"
)

// Certificates by their fingerprint open the relay (relay_clientcerts), and
// client_cert: require closes the listener to all others.
func TestClientCertificates(t *testing.T) {
	w := newWorld(t)
	dir := w.dir
	pair := func(name string) (file string, cert *tls.Certificate) {
		file, key := filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
		if err := tlsx.WriteSelfSigned(file, key, []string{name}, time.Now(), time.Hour); err != nil {
			t.Fatal(err)
		}
		c, err := tls.LoadX509KeyPair(file, key)
		if err != nil {
			t.Fatal(err)
		}
		return file, &c
	}
	known, ours := pair("ours")
	_, listed := pair("listed")
	_, foreign := pair("foreign")
	print := func(b []byte) string {
		sum := sha256.Sum256(b)
		return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
	}
	w.cfg.TLS.ClientCAFile = known
	w.cfg.Smtpd.ClientCerts = []string{"inline:{ {" + print(listed.Leaf.RawSubjectPublicKeyInfo) + " = list} {" + print(ours.Leaf.Raw) + " = host} }"}
	w.cfg.Listeners[0].ClientCert = "ask"
	closed := w.cfg.Listeners[0]
	closed.Name, closed.TLS, closed.ClientCert = "closed", TLSRequired, CertRequired
	w.cfg.Listeners = append(w.cfg.Listeners, closed)
	w.start()
	for _, tc := range []struct {
		what, listener string
		cert           *tls.Certificate
		want           int // the code to a foreign recipient; 0: no session
	}{
		{"none", "smtpd", nil, 554},
		{"foreign", "smtpd", foreign, 554},
		{"listed by its key", "smtpd", listed, 250},
		{"listed itself", "smtpd", ours, 250},
		{"none", "closed", nil, 0},
		{"foreign", "closed", foreign, 0},
		{"of no authority, whatever the list says", "closed", listed, 0},
		{"ours", "closed", ours, 250},
	} {
		cfg := smtpclient.Config{Name: "client.example", TLSMode: smtpclient.RequiredTLS, TLS: tlsx.Opportunistic("")}
		if tc.cert != nil {
			cfg.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tc.cert, nil }
		}
		got := 0
		if conn, err := smtpclient.New(context.Background(), w.connect(tc.listener), cfg); err == nil {
			results, err := conn.Send(context.Background(), smtpclient.Envelope{
				From: addr.Address{Local: "a", Domain: "far.example"}, To: []smtpclient.Recipient{{To: addr.Address{Local: "b", Domain: "far.example"}}}, Verify: true,
			}, nil)
			if err == nil {
				got = results[0].Code
			}
			_ = conn.Close()
		}
		if got != tc.want {
			t.Errorf("%s at %s: %d, want %d", tc.what, tc.listener, got, tc.want)
		}
	}
}

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

// A TLS session ticket is good at the listener that gave it, and at no other:
// what one has found out about a client, another may not have to believe.
func TestTicketsStayWithTheirListener(t *testing.T) {
	w := newWorld(t)
	closed := w.cfg.Listeners[0]
	closed.Name, closed.TLS, closed.ClientCert = "closed", TLSImplicit, CertRequired
	w.cfg.TLS.ClientCAFile = w.cfg.TLS.CertFile
	w.cfg.Listeners = append(w.cfg.Listeners, closed)
	w.start()
	client := &tls.Config{InsecureSkipVerify: true, ServerName: w.cfg.Hostname, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	shake := func(listener string) (resumed bool, err error) {
		conn := tls.Client(w.connect(listener), client)
		defer conn.Close()
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil { // the ticket comes before the banner
			return false, err
		}
		return conn.ConnectionState().DidResume, nil
	}
	for i, want := range []bool{false, true, true} {
		if resumed, err := shake("smtps/smtpd"); err != nil || resumed != want {
			t.Fatalf("handshake %d: resumed %v, %v", i, resumed, err)
		}
	}
	if resumed, err := shake("closed"); err == nil {
		t.Errorf("a listener for certificates took a client with another's ticket and none of them: resumed %v", resumed)
	}
	if _, err := shake("smtps/smtpd"); err != nil { // for another ticket: each is used once
		t.Fatal(err)
	}
	conn := w.connect("submission/smtpd")
	r := bufio.NewReader(conn)
	for _, say := range []string{"", "STARTTLS\r\n"} {
		if _, err := io.WriteString(conn, say); err != nil {
			t.Fatal(err)
		}
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "220 ") {
			t.Fatal(line, err)
		}
	}
	upgraded := tls.Client(conn, client)
	if err := upgraded.HandshakeContext(context.Background()); err != nil || upgraded.ConnectionState().DidResume {
		t.Errorf("by STARTTLS elsewhere: resumed %v, %v", upgraded.ConnectionState().DidResume, err)
	}
}
