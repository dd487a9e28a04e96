package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Config is the section `policy`, by the names of Dovecot's
// auth_policy_* settings.
type Config struct {
	ServerURL    string            `yaml:"server_url" example:"http://127.0.0.1:8084/" doc:"Auth policy server (weakforced protocol); empty means none."`
	APIHeaderKey conf.SecretFile   `yaml:"server_api_header_file" path:"read" doc:"File with a header line that lets us in, such as Authorization: Basic d2ZvcmNlOnNlY3JldA==."`
	Timeout      conf.Duration     `yaml:"server_timeout" min:"10ms" max:"30s" doc:"How long the server may take."`
	HashMech     string            `yaml:"hash_mech" oneof:"sha256|sha1|sha512" doc:"Digest of the password that is sent."`
	HashNonce    conf.SecretFile   `yaml:"hash_nonce_file" path:"read" doc:"File with a secret that goes into the digest; the same on all nodes."`
	HashTruncate int               `yaml:"hash_truncate" min:"1" max:"64" doc:"Bits of the digest that are sent: enough to tell one wrong password from another, too few to guess it."`
	Attributes   map[string]string `yaml:"request_attributes" doc:"Further attributes of the JSON object, with variables."`
	CheckBefore  bool              `yaml:"check_before_auth" doc:"Ask before the password is checked."`
	CheckAfter   bool              `yaml:"check_after_auth" doc:"Ask again after it was right."`
	ReportAfter  bool              `yaml:"report_after_auth" doc:"Report every outcome."`
	RejectOnFail bool              `yaml:"reject_on_fail" doc:"Refuse logins, as an outage, while the server does not answer."`
	LogOnly      bool              `yaml:"log_only" doc:"Only log what the server says."`
}

// DefaultConfig is the section when it says nothing: Dovecot's defaults.
func DefaultConfig() Config {
	return Config{
		Timeout: conf.Duration(2 * time.Second), HashMech: "sha256", HashTruncate: 12,
		Attributes: map[string]string{
			"login": "%{user}", "remote": "%{remote_ip}", "device_id": "%{client_id}",
			"protocol": "%{service}", "session_id": "%{session}",
		},
		CheckBefore: true, CheckAfter: true, ReportAfter: true,
	}
}

// Validate reports what cannot work.
func (c Config) Validate(p *conf.Reporter) {
	if c.ServerURL == "" {
		return
	}
	if u, err := url.Parse(c.ServerURL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		p.At("server_url").Errorf("%q is no http or https URL", c.ServerURL)
	}
	if c.HashNonce == "" {
		p.At("hash_nonce_file").Hint("head -c 32 /dev/urandom | base64 > FILE").Errorf("the digests of passwords need a secret")
	}
	for _, key := range slices.Sorted(maps.Keys(c.Attributes)) {
		if _, err := expand.Parse(c.Attributes[key]); err != nil {
			p.At("request_attributes[%s]", key).Errorf("%v", err)
		}
	}
}

// Verdict is the server's word.
type Verdict struct {
	Reject bool
	Tarpit time.Duration // make the peer wait so long
	Text   string        // for the log
}

// Outcome is what became of a login, for a report.
type Outcome struct {
	Success      bool
	PolicyReject bool // it was the server that said no
}

const (
	maxAnswer  = 64 << 10
	maxTarpit  = 60 * time.Second
	maxReports = 100 // under way; beyond that they are dropped and counted
)

// Client is safe for concurrent use. Close it after use.
type Client struct {
	conf   Config
	header [2]string
	nonce  string
	attrs  map[string]expand.Template
	http   *http.Client
	fault  func(error)

	ctx     context.Context // of reports; ends with Close
	cancel  context.CancelFunc
	reports chan struct{}
	running sync.WaitGroup
}

// New makes a client. fault takes what goes wrong with reports; it may be nil.
func New(c Config, fault func(error)) (*Client, error) {
	nonce, err := c.HashNonce.Read()
	if err != nil {
		return nil, err
	}
	cl := &Client{
		conf: c, nonce: nonce, attrs: map[string]expand.Template{}, fault: fault, reports: make(chan struct{}, maxReports),
		http: &http.Client{
			Timeout:       c.Timeout.Std(),
			Transport:     &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if c.APIHeaderKey != "" {
		if cl.header, err = readHeader(c.APIHeaderKey); err != nil {
			return nil, err
		}
	}
	for key, text := range c.Attributes {
		if cl.attrs[key], err = expand.Parse(text); err != nil {
			return nil, err
		}
	}
	cl.ctx, cl.cancel = context.WithCancel(context.Background())
	return cl, nil
}

// Close ends reports that are under way.
func (c *Client) Close() {
	c.cancel()
	c.running.Wait()
	c.http.CloseIdleConnections()
}

// Before asks whether the password should be checked at all, After whether a
// login whose password was right may go on. An error is an outage, and only
// comes with reject_on_fail.
func (c *Client) Before(ctx context.Context, r *request.Request, password string) (Verdict, error) {
	if !c.conf.CheckBefore {
		return Verdict{}, nil
	}
	return c.ask(ctx, r, password, nil)
}

// After is the question after a password that was right.
func (c *Client) After(ctx context.Context, r *request.Request, password string) (Verdict, error) {
	if !c.conf.CheckAfter {
		return Verdict{}, nil
	}
	yes := true
	return c.ask(ctx, r, password, &yes)
}

func (c *Client) ask(ctx context.Context, r *request.Request, password string, success *bool) (Verdict, error) {
	body, err := c.object(r, password)
	if err == nil {
		if success != nil {
			body["success"] = *success
		}
		var answer []byte
		if answer, err = c.post(ctx, "allow", body); err == nil {
			var v Verdict
			if v, err = parse(answer); err == nil {
				return c.soften(v), nil
			}
		}
	}
	err = fail.Wrap(fail.Unavailable, err, "auth policy server %s", c.conf.ServerURL)
	if c.conf.RejectOnFail {
		return Verdict{}, err
	}
	c.tell(err)
	return Verdict{}, nil
}

// soften makes a verdict harmless when the server's word is only logged.
func (c *Client) soften(v Verdict) Verdict {
	if c.conf.LogOnly && (v.Reject || v.Tarpit > 0) {
		c.tell(fail.New(fail.Denied, "auth policy server would reject (%v) or delay by %s: %.200s", v.Reject, v.Tarpit, v.Text))
		return Verdict{}
	}
	return v
}

func (c *Client) tell(err error) {
	if c.fault != nil {
		c.fault(err)
	}
}

// Report sends the outcome, beside the caller. r is read before Report
// returns.
func (c *Client) Report(r *request.Request, password string, o Outcome) {
	if !c.conf.ReportAfter {
		return
	}
	body, err := c.object(r, password)
	if err != nil {
		c.tell(err)
		return
	}
	body["success"], body["policy_reject"] = o.Success, o.PolicyReject
	select {
	case c.reports <- struct{}{}:
	default:
		c.tell(fail.New(fail.Unavailable, "auth policy server %s: %d reports are under way, one was dropped", c.conf.ServerURL, maxReports))
		return
	}
	c.running.Go(func() {
		defer func() { <-c.reports }()
		if _, err := c.post(c.ctx, "report", body); err != nil {
			c.tell(fail.Wrap(fail.Unavailable, err, "report to auth policy server %s", c.conf.ServerURL))
		}
	})
}

// object is what is known of the login, without the password.
func (c *Client) object(r *request.Request, password string) (map[string]any, error) {
	body := map[string]any{"pwhash": digest(c.conf.HashMech, c.nonce, r.User, password, c.conf.HashTruncate), "tls": r.TLS != ""}
	for key, t := range c.attrs {
		value, err := t.Expand(r, nil)
		if err != nil {
			return nil, err
		}
		body[key] = value
	}
	return body, nil
}

func (c *Client) post(ctx context.Context, command string, body map[string]any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(c.conf.ServerURL)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	q.Set("command", command)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.header[0] != "" {
		req.Header.Set(c.header[0], c.header[1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fail.New(fail.Unavailable, "HTTP status %d", res.StatusCode)
	}
	return answer, err
}

// parse reads {"status": n, "msg": text}: below zero rejects, above zero is
// seconds to wait.
func parse(answer []byte) (Verdict, error) {
	var a struct {
		Status *int   `json:"status"`
		Msg    string `json:"msg"`
	}
	if err := json.Unmarshal(answer, &a); err != nil || a.Status == nil {
		return Verdict{}, fail.New(fail.Unavailable, "answer has no status")
	}
	v := Verdict{Text: a.Msg, Reject: *a.Status < 0}
	if *a.Status > 0 {
		v.Tarpit = min(time.Duration(min(*a.Status, 3600))*time.Second, maxTarpit)
	}
	return v, nil
}
