package oauth2

import (
	"maps"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Config says who vouches for tokens: the `oauth2` section of a passdb entry,
// with Dovecot's names.
type Config struct {
	IntrospectionMode  string `yaml:"introspection_mode" oneof:"auth|get|post|local" doc:"How a token is checked. local: by its signature (JWT). auth: ask introspection_url with the token as the credential, as a userinfo endpoint wants it. get: ask with the token appended to the URL. post: ask with the token in a form (RFC 7662)."`
	IntrospectionURL   string `yaml:"introspection_url" example:"https://sso.example.org/oauth2/introspect" doc:"Whom to ask. Empty with post: the endpoint that openid_configuration_url names."`
	TokeninfoURL       string `yaml:"tokeninfo_url" example:"https://www.googleapis.com/oauth2/v3/tokeninfo?access_token=" doc:"Ask here first: the token is appended."`
	ForceIntrospection bool   `yaml:"force_introspection" doc:"Ask introspection_url even if tokeninfo_url names the user."`

	ClientID         string          `yaml:"client_id" doc:"Who we are for the servers above (get and post)."`
	ClientSecretFile conf.SecretFile `yaml:"client_secret_file" path:"read" doc:"File with the password that belongs to client_id."`
	ClientAuth       string          `yaml:"client_auth" oneof:"basic|post" doc:"How they are sent: as HTTP Basic authentication, or in the form (post only)."`

	OpenIDConfigurationURL string        `yaml:"openid_configuration_url" example:"https://sso.example.org/.well-known/openid-configuration" doc:"The issuer's metadata: where its keys and endpoints are."`
	JWKSURL                string        `yaml:"jwks_url" doc:"The issuer's keys (local), if there is no metadata."`
	JWKSFile               string        `yaml:"jwks_file" path:"read" doc:"The same in a file, which is read again when it changes."`
	JWKSTTL                conf.Duration `yaml:"jwks_ttl" min:"1m" max:"24h" doc:"How long fetched keys and metadata are used. While they cannot be fetched, old ones are good for a day."`

	Issuers    []string      `yaml:"issuers" example:"https://sso.example.org" doc:"Who may have issued a token (claim iss). local needs one, unless the metadata names it."`
	Audiences  []string      `yaml:"audiences" example:"mail" doc:"For whom a token may be meant (claim aud): one of these. Empty: client_id. local needs one; '*' accepts tokens that were meant for anybody."`
	Algorithms []string      `yaml:"algorithms" doc:"How tokens may be signed (local)."`
	Leeway     conf.Duration `yaml:"leeway" max:"5m" doc:"By how much clocks may differ."`

	Scope             string            `yaml:"scope" example:"mail" doc:"Scopes that a token must have, separated by spaces."`
	ActiveAttribute   string            `yaml:"active_attribute" doc:"Claim that says whether the account is in use."`
	ActiveValue       string            `yaml:"active_value" doc:"What it must be. Empty: it must be there."`
	UsernameAttribute string            `yaml:"username_attribute" min:"1" doc:"Claim that names the user."`
	UsernameFormat    string            `yaml:"username_format" min:"1" doc:"How the user's name is made of it: %u is the claim, %n its part before the @."`
	PassAttrs         map[string]string `yaml:"pass_attrs" example:"{userdb_quota: '%{oauth2:quota}'}" doc:"Further fields: %{oauth2:NAME} is the claim NAME. A field is left out when its claim is missing."`
	PasswordIsToken   bool              `yaml:"password_is_token" doc:"Take the password of PLAIN and LOGIN for a token as well. Real passwords then go to the servers above."`

	CAFile         string        `yaml:"ca_file" path:"read" doc:"PEM file with the authorities that may have signed the servers' certificates. Empty: the system's."`
	AllowCleartext bool          `yaml:"allow_cleartext" doc:"Allow http:// URLs that are not on this host."`
	Timeout        conf.Duration `yaml:"timeout" min:"100ms" max:"2m" doc:"How long a server may take."`
	MaxParallel    int           `yaml:"max_parallel_connections" min:"1" max:"1000" doc:"Requests under way at a time."`
}

// DefaultConfig names no server.
func DefaultConfig() Config {
	return Config{
		IntrospectionMode: "auth", ClientAuth: "basic", JWKSTTL: conf.Duration(time.Hour),
		Algorithms: []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"}, Leeway: conf.Duration(30 * time.Second),
		UsernameAttribute: "email", UsernameFormat: "%Lu",
		Timeout: conf.Duration(10 * time.Second), MaxParallel: 10,
	}
}

// Preset gives an entry its defaults before it is read.
func (c *Config) Preset() { *c = DefaultConfig() }

// algorithms are those that a public key verifies. There is no HS256, whose
// key would have to be secret, and no none.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

// Validate reports what is wrong between the keys.
func (c Config) Validate(p *conf.Reporter) {
	if reflect.DeepEqual(c, Config{}) || reflect.DeepEqual(c, DefaultConfig()) {
		return // not an OAuth2 entry at all
	}
	c.validateURLs(p)
	if c.local() {
		c.validateLocal(p)
	} else {
		c.validateRemote(p)
	}
	if c.ClientSecretFile != "" && c.ClientID == "" {
		p.At("client_id").Errorf("client_secret_file needs it")
	}
	if c.ActiveValue != "" && c.ActiveAttribute == "" {
		p.At("active_attribute").Errorf("active_value needs it")
	}
	if t, err := expand.Parse(c.UsernameFormat); err != nil {
		p.At("username_format").Errorf("%v", err)
	} else if name := unknownVariable(t); name != "" || len(t.Names()) == 0 {
		p.At("username_format").Errorf("%q does not make a name of the claim", c.UsernameFormat)
	}
	for _, key := range slices.Sorted(maps.Keys(c.PassAttrs)) {
		at := p.At("pass_attrs[%s]", key)
		if t, err := expand.Parse(c.PassAttrs[key]); err != nil {
			at.Errorf("%v", err)
		} else if name := unknownVariable(t); name != "" {
			at.Errorf("there is no variable %%{%.40s} here", name)
		}
		switch key {
		case "user", "username", "domain", "password", "nopassword":
			at.Errorf("%q cannot be set here", key)
		}
	}
}

// unknownVariable is the first one that neither requests nor tokens have.
func unknownVariable(t expand.Template) string {
	for _, name := range t.Names() {
		if !request.Known(name) && !strings.HasPrefix(name, "oauth2:") {
			return name
		}
	}
	return ""
}

func (c Config) validateURLs(p *conf.Reporter) {
	for _, u := range []struct{ key, url string }{
		{"introspection_url", c.IntrospectionURL},
		{"tokeninfo_url", c.TokeninfoURL},
		{"openid_configuration_url", c.OpenIDConfigurationURL},
		{"jwks_url", c.JWKSURL},
	} {
		if u.url == "" {
			continue
		}
		if err := c.checkURL(u.url); err != nil {
			p.At("%s", u.key).Errorf("%v", err)
		}
	}
}

// checkURL holds a URL, from the configuration or an issuer's metadata, to
// what may be asked.
func (c Config) checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.Fragment != "":
		return fail.New(fail.Invalid, "%.100q is no URL", text)
	case u.User != nil:
		return fail.New(fail.Invalid, "the URL has a user name in it: use client_id and client_secret_file")
	case u.Scheme == "https":
	case u.Scheme != "http":
		return fail.New(fail.Invalid, "%.100q is not a https URL", text)
	case !c.AllowCleartext && !loopback(u.Hostname()):
		return fail.New(fail.Invalid, "%.100q would send tokens or fetch keys in the clear", text)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func (c Config) local() bool { return c.IntrospectionMode == "local" }

func (c Config) validateLocal(p *conf.Reporter) {
	sources := 0
	for _, s := range []string{c.JWKSFile, c.JWKSURL, c.OpenIDConfigurationURL} {
		if s != "" {
			sources++
		}
	}
	if sources != 1 {
		p.At("introspection_mode").Errorf("local needs one of jwks_file, jwks_url and openid_configuration_url, not %d", sources)
	}
	if len(c.Issuers) == 0 && c.OpenIDConfigurationURL == "" {
		p.At("issuers").Errorf("local needs one")
	}
	if len(c.audiences()) == 0 {
		p.At("audiences").Hint("look at the claim aud of a token; '*' accepts any").Errorf("local needs one")
	}
	if c.IntrospectionURL != "" || c.TokeninfoURL != "" {
		p.At("introspection_url").Errorf("local asks nobody")
	}
	if len(c.Algorithms) == 0 {
		p.At("algorithms").Errorf("there is none")
	}
	for i, a := range c.Algorithms {
		if !slices.Contains(algorithms(), jose.SignatureAlgorithm(a)) {
			p.At("algorithms[%d]", i).Hint("RS256, ES256, EdDSA, ...").Errorf("%.20q is not supported", a)
		}
	}
}

func (c Config) validateRemote(p *conf.Reporter) {
	discovered := c.OpenIDConfigurationURL != "" && c.IntrospectionMode == "post"
	if c.IntrospectionURL == "" && c.TokeninfoURL == "" && !discovered {
		p.At("introspection_url").Errorf("there is nobody to ask")
	}
	if c.ForceIntrospection && c.IntrospectionURL == "" && !discovered {
		p.At("force_introspection").Errorf("it needs introspection_url")
	}
	if c.JWKSURL != "" || c.JWKSFile != "" {
		p.At("jwks_url").Errorf("keys are used with introspection_mode: local only")
	}
	if c.ClientAuth == "post" && c.IntrospectionMode != "post" {
		p.At("client_auth").Errorf("post needs introspection_mode: post")
	}
}

// audiences are whom tokens may be meant for; none: not checked.
func (c Config) audiences() []string {
	if len(c.Audiences) == 0 && c.ClientID != "" && c.local() {
		return []string{c.ClientID}
	}
	return c.Audiences
}

// username makes a user's name of a claim.
func username(format expand.Template, claim string) (string, error) {
	name, err := format.Expand(&request.Request{User: claim}, nil)
	if err != nil {
		return "", err
	}
	name = account.Canonical(name)
	return name, account.CheckName(name)
}
