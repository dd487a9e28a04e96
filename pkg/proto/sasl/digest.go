package sasl

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Caps on one message of DIGEST-MD5.
const (
	maxDirectives = 32
	maxDirective  = 1024 // bytes of a value
)

// NewDigestMD5Server serves DIGEST-MD5, RFC 2831, without security layers and
// without subsequent authentication. It offers the empty realm, as Dovecot
// does: Cyrus's client takes our host name for one when there is none at all.
func NewDigestMD5Server(b Backend, set Setting) gosasl.Server {
	nonce := set.random()
	return &asked{
		mech: "DIGEST-MD5",
		challenge: func() string {
			return `realm="",nonce="` + nonce + `",qop="auth",charset=utf-8,algorithm=md5-sess`
		},
		take: func(response []byte) ([]byte, error) {
			r, err := parseDigestResponse(response)
			if err != nil {
				return nil, err
			}
			if r.nonce != nonce {
				return nil, malformed("DIGEST-MD5", "another nonce")
			}
			secret, err := b.Secret(r.id, SecretDigestMD5)
			if err != nil {
				return nil, err
			}
			a1 := secret.A1
			ok := r.proves(a1)
			if !ok && secret.A1Latin1 != [16]byte{} {
				a1 = secret.A1Latin1
				ok = r.proves(a1)
			}
			if err := prove(b, ok); err != nil {
				return nil, err
			}
			return []byte("rspauth=" + r.proof(a1, "")), nil
		},
	}
}

// digest is what both proofs of an exchange are made of.
type digest struct {
	id       Identity
	nonce    string
	cnonce   string
	uri      string
	response string // lower case
}

// proof is the response-value (method AUTHENTICATE) or rspauth (method empty)
// of section 2.1.2.1.
func (d digest) proof(a1 [16]byte, method string) string {
	session := string(a1[:]) + ":" + d.nonce + ":" + d.cnonce
	if d.id.Authzid != "" {
		session += ":" + d.id.Authzid
	}
	return hexMD5(hexMD5(session) + ":" + d.nonce + ":" + firstUse + ":" + d.cnonce + ":auth:" + hexMD5(method+":"+d.uri))
}

func (d digest) proves(a1 [16]byte) bool {
	return hmac.Equal([]byte(d.proof(a1, "AUTHENTICATE")), []byte(d.response))
}

// firstUse is the nonce count of an initial authentication.
const firstUse = "00000001"

func hexMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// digestA1 is H(user:realm:password).
func digestA1(user, realm, password string) [16]byte {
	return md5.Sum([]byte(user + ":" + realm + ":" + password))
}

// digestLatin1 hashes what fits into ISO 8859-1 in that character set (section
// 2.1.2.1).
func digestLatin1(user, realm, password string) [16]byte {
	return digestA1(latin1(user), latin1(realm), latin1(password))
}

func latin1(s string) string {
	if !utf8.ValidString(s) {
		return s
	}
	out := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xFF {
			return s
		}
		out = append(out, byte(r))
	}
	return string(out)
}

// parseDigestResponse reads the client's message of section 2.1.2.
func parseDigestResponse(message []byte) (digest, error) {
	v, err := parseDirectives(message)
	if err != nil {
		return digest{}, err
	}
	for key, values := range v {
		if len(values) > 1 && key != "auth-param" {
			return digest{}, malformed("DIGEST-MD5", "a directive comes twice")
		}
	}
	d := digest{
		id:    Identity{Authcid: v.first("username"), Authzid: v.first("authzid"), Realm: v.first("realm")},
		nonce: v.first("nonce"), cnonce: v.first("cnonce"), uri: v.first("digest-uri"),
		response: strings.ToLower(v.first("response")),
	}
	if err := d.id.check("DIGEST-MD5"); err != nil {
		return digest{}, err
	}
	switch qop, charset := v.first("qop"), v.first("charset"); {
	case d.cnonce == "":
		return digest{}, malformed("DIGEST-MD5", "no cnonce")
	case !strings.Contains(d.uri, "/"):
		return digest{}, malformed("DIGEST-MD5", "no digest-uri")
	case len(d.response) != 2*md5.Size:
		return digest{}, malformed("DIGEST-MD5", "response is not 32 digits")
	case v.first("nc") != firstUse:
		return digest{}, malformed("DIGEST-MD5", "nonce is used again")
	case qop != "" && !strings.EqualFold(qop, "auth"):
		return digest{}, malformed("DIGEST-MD5", "a security layer is asked for")
	case charset != "" && !strings.EqualFold(charset, "utf-8"):
		return digest{}, malformed("DIGEST-MD5", "charset is not utf-8")
	}
	return d, nil
}

// directives are the values of each key, keys in lower case.
type directives map[string][]string

func (d directives) first(key string) string {
	if v := d[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// parseDirectives reads `key=value,key="value",…` (section 7.1). Empty elements
// are allowed.
func parseDirectives(message []byte) (directives, error) {
	const lws = " \t\r\n"
	out := directives{}
	rest := string(message)
	for n := 0; ; n++ {
		rest = strings.TrimLeft(rest, lws+",")
		if rest == "" {
			return out, nil
		}
		key, after, ok := strings.Cut(rest, "=")
		key = strings.ToLower(strings.TrimRight(key, lws))
		if !ok || key == "" || strings.ContainsAny(key, lws+`,"`) || n >= maxDirectives {
			return nil, malformed("DIGEST-MD5", "not a list of directives")
		}
		value, tail, ok := directiveValue(strings.TrimLeft(after, lws))
		if !ok || len(value) > maxDirective || strings.IndexByte(value, 0) >= 0 {
			return nil, malformed("DIGEST-MD5", "a directive has no proper value")
		}
		rest = strings.TrimLeft(tail, lws)
		if rest != "" && rest[0] != ',' {
			return nil, malformed("DIGEST-MD5", "no comma between directives")
		}
		out[key] = append(out[key], value)
	}
}

// directiveValue reads a token or a quoted string.
func directiveValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t\r\n")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0 && !strings.Contains(s[:end], `"`)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			i++
			if i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

type digestClient struct {
	c      Credentials
	cnonce func() string
	want   string // rspauth
	step   step
}

// NewDigestMD5Client authenticates with DIGEST-MD5. Of several realms it takes
// the user's domain if that is among them, else the first.
func NewDigestMD5Client(c Credentials) gosasl.Client {
	return &digestClient{c: c, cnonce: Setting{}.random}
}

func (c *digestClient) Start() (mech string, ir []byte, err error) {
	c.step = stepFirst
	return "DIGEST-MD5", nil, nil
}

func (c *digestClient) Next(challenge []byte) ([]byte, error) {
	step := c.step
	c.step = stepOver
	v, err := parseDirectives(challenge)
	if err != nil {
		return nil, err
	}
	switch step {
	case stepFirst:
		response, err := c.respond(v)
		if err == nil {
			c.step = stepFinal
		}
		return response, err
	case stepFinal:
		if !hmac.Equal([]byte(v.first("rspauth")), []byte(c.want)) {
			return nil, errImpostor
		}
		c.step = stepDone
		return []byte{}, nil
	}
	return nil, gosasl.ErrUnexpectedServerChallenge
}

// Complete tells whether the server has proved that it knows the password.
func (c *digestClient) Complete() error { return c.step.complete() }

func (c *digestClient) respond(v directives) ([]byte, error) {
	qop := v.first("qop")
	if len(v["nonce"]) != 1 || len(v["algorithm"]) != 1 || !strings.EqualFold(v.first("algorithm"), "md5-sess") {
		return nil, fail.New(fail.Permanent, "DIGEST-MD5 challenge: no nonce, or not md5-sess")
	}
	if qop != "" && !slices.Contains(strings.FieldsFunc(qop, func(r rune) bool { return r == ',' || r == ' ' }), "auth") {
		return nil, fail.New(fail.Permanent, "DIGEST-MD5 challenge: server insists on a security layer")
	}
	d := digest{
		id:    Identity{Authcid: c.c.Authcid, Authzid: c.c.Authzid, Realm: v.first("realm")},
		nonce: v.first("nonce"), cnonce: c.cnonce(), uri: c.c.Target,
	}
	if _, domain, ok := strings.Cut(c.c.Authcid, "@"); ok && slices.Contains(v["realm"], domain) {
		d.id.Realm = domain
	}
	if d.uri == "" {
		d.uri = "smtp/localhost"
	}
	a1 := digestLatin1(d.id.Authcid, d.id.Realm, c.c.Password)
	c.want = d.proof(a1, "")
	out := "username=" + quoted(d.id.Authcid) + ",realm=" + quoted(d.id.Realm) + ",nonce=" + quoted(d.nonce) +
		",cnonce=" + quoted(d.cnonce) + ",nc=" + firstUse + ",qop=auth,digest-uri=" + quoted(d.uri) +
		",response=" + d.proof(a1, "AUTHENTICATE")
	if v.first("charset") != "" {
		out += ",charset=utf-8"
	}
	if d.id.Authzid != "" {
		out += ",authzid=" + quoted(d.id.Authzid)
	}
	return []byte(out), nil
}
