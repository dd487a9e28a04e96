package oauth2

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// maxBody caps an answer; the largest are key sets with certificates.
const maxBody = 256 << 10

// client asks servers over HTTP.
type client struct {
	http    *http.Client
	slots   chan struct{}
	timeout time.Duration
}

func newClient(c Config, now func() time.Time) (*client, error) {
	var roots *x509.CertPool
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fail.Wrap(fail.Unavailable, err, "ca_file")
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fail.New(fail.Invalid, "ca_file %s holds no certificate", c.CAFile)
		}
	}
	config := tlsx.Strict("", roots)
	config.Time = now
	return &client{
		http: &http.Client{
			// No proxy from the environment: what is asked is configured.
			Transport: &http.Transport{
				DialContext:            (&net.Dialer{Timeout: c.Timeout.Std()}).DialContext,
				TLSClientConfig:        config,
				TLSHandshakeTimeout:    c.Timeout.Std(),
				MaxIdleConnsPerHost:    c.MaxParallel,
				IdleConnTimeout:        time.Minute,
				MaxResponseHeaderBytes: 32 << 10,
				DisableCompression:     true, // what is small on the wire stays small
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		slots: make(chan struct{}, c.MaxParallel), timeout: c.Timeout.Std(),
	}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// ask sends a request and reads the whole answer. Errors: fail.Unavailable,
// and none has the URL's query in it, which may hold a token.
func (c *client) ask(ctx context.Context, r *http.Request) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return 0, nil, fail.New(fail.Unavailable, "%s: %d requests are under way already", place(r.URL), cap(c.slots))
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "postcote-authd")
	answer, err := c.http.Do(r.WithContext(ctx))
	if err != nil {
		return 0, nil, fail.Wrap(fail.Unavailable, bare(err), "%s", place(r.URL))
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	switch {
	case err != nil:
		return 0, nil, fail.Wrap(fail.Unavailable, bare(err), "%s", place(r.URL))
	case len(body) > maxBody:
		return 0, nil, fail.New(fail.Unavailable, "%s answers with more than %d bytes", place(r.URL), maxBody)
	}
	return answer.StatusCode, body, nil
}

// place is a URL for people, without what may be secret.
func place(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// bare is the cause inside of an error that names the URL.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// get fetches a JSON object.
func (c *client) get(ctx context.Context, from string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return fail.New(fail.Unavailable, "%.100q is no URL", from)
	}
	status, body, err := c.ask(ctx, r)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return unexpected(r.URL, status)
	}
	if err := decode(body, into); err != nil {
		return fail.Wrap(fail.Unavailable, err, "%s", place(r.URL))
	}
	return nil
}

func unexpected(u *url.URL, status int) error {
	if status/100 == 3 {
		return fail.New(fail.Unavailable, "%s redirects elsewhere, which is not followed", place(u))
	}
	return fail.New(fail.Unavailable, "%s answers with status %d", place(u), status)
}

// decode reads one JSON object and nothing behind it; numbers stay as they are
// written.
func decode(body []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return fail.New(fail.Unavailable, "the answer is no JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fail.New(fail.Unavailable, "the answer is more than a JSON object")
	}
	return nil
}
