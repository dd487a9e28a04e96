package scheme

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// scramTail is StoredKey and ServerKey of SCRAM-SHA-1.
const scramTail = "aBULint3jM0YsIVCRfH98W4syHE=,P5cEDuNbsIJTY8CHGNMfPgj5xRA="

// derive is Derive and its end.
func derive(stored string, kind sasl.SecretKind, user, realm string, p Policy) (sasl.Secret, error) {
	d, err := Derive(stored, kind, user, realm, p)
	if err != nil {
		return sasl.Secret{}, err
	}
	d.Verify(nil, "")
	return d.Secret()
}

func kinds() []sasl.SecretKind {
	return []sasl.SecretKind{sasl.SecretPlain, sasl.SecretCRAMMD5, sasl.SecretDigestMD5, sasl.SecretSCRAMSHA1, sasl.SecretSCRAMSHA256}
}

// What a readable password is turned into is what the mechanism's own scheme
// stores.
func TestDerivedFromReadable(t *testing.T) {
	var w Workspace
	p := everything()
	for _, kind := range kinds() {
		got, err := derive("{PLAIN}sésame", kind, "user", "example.org", p)
		if err != nil {
			t.Fatal(kind, err)
		}
		if kind == sasl.SecretPlain {
			if got.Plain != "sésame" {
				t.Errorf("plain: %q", got.Plain)
			}
			continue
		}
		stored, err := GenerateWith(&w, kind.String(), "sésame", Options{User: "user@example.org"})
		if err != nil {
			t.Fatal(kind, err)
		}
		want, err := derive(stored, kind, "other", "", p)
		if err != nil {
			t.Fatal(kind, err)
		}
		if len(got.Salt) != len(want.Salt) || got.Iter != want.Iter {
			t.Errorf("%s: salt of %d bytes, %d iterations; want %d, %d", kind, len(got.Salt), got.Iter, len(want.Salt), want.Iter)
		}
		if kind == sasl.SecretDigestMD5 { // a readable password can be hashed in either character set
			if got.A1Latin1 == want.A1Latin1 {
				t.Error("DIGEST-MD5: no hash for clients that use ISO 8859-1")
			}
			got.A1Latin1 = want.A1Latin1
		}
		if len(got.Salt) > 0 { // by the salt of the stored one
			got.StoredKey, got.ServerKey, err = scramKeys(scramHashOf(kind), "sésame", want.Salt, want.Iter)
			got.Salt = want.Salt
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v, %v", kind, got, want, err)
		}
	}
}

// The stored states continue to what HMAC-MD5 of the challenge is, RFC 2195
// section 2.
func TestCRAMStates(t *testing.T) {
	const challenge, password = "<1896.697170952@postoffice.reston.mci.net>", "tanstaaftanstaaf"
	s, err := derive("{PLAIN}"+password, sasl.SecretCRAMMD5, "tim", "", everything())
	if err != nil {
		t.Fatal(err)
	}
	resume := func(state [16]byte, rest []byte) []byte {
		d := md5.New()
		saved := []byte("md5\x01")
		for i := 0; i < md5.Size; i += 4 {
			saved = binary.BigEndian.AppendUint32(saved, binary.LittleEndian.Uint32(state[i:]))
		}
		saved = binary.BigEndian.AppendUint64(append(saved, make([]byte, md5.BlockSize)...), md5.BlockSize)
		if err := d.(interface{ UnmarshalBinary([]byte) error }).UnmarshalBinary(saved); err != nil {
			t.Fatal(err)
		}
		d.Write(rest)
		return d.Sum(nil)
	}
	got := resume(s.Outer, resume(s.Inner, []byte(challenge)))
	want := hmac.New(md5.New, []byte(password))
	want.Write([]byte(challenge))
	if !bytes.Equal(got, want.Sum(nil)) {
		t.Errorf("%x, want %x", got, want.Sum(nil))
	}
	if _, err := derive("{PLAIN}"+strings.Repeat("long", 30), sasl.SecretCRAMMD5, "tim", "", everything()); err != nil {
		t.Error(err)
	}
}

// SCRAM-SHA-256's example, RFC 7677 section 3: the stored keys confirm the
// client's proof.
func TestSCRAMKeys(t *testing.T) {
	const auth = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	salt, err := asBase64.decode("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	_, server, err := scramKeys(sha256.New, "pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	m := hmac.New(sha256.New, server)
	m.Write([]byte(auth))
	if want, _ := asBase64.decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="); !bytes.Equal(m.Sum(nil), want) {
		t.Errorf("server signature %x, want %x", m.Sum(nil), want)
	}
}

func TestCanServe(t *testing.T) {
	for _, tc := range []struct {
		scheme string
		want   string // kinds of kinds()
	}{
		{"PLAIN", "12345"},
		{"cleartext.b64", "12345"},
		{"CLEAR", "12345"},
		{"CRAM-MD5", "2"},
		{"HMAC-MD5", "2"},
		{"DIGEST-MD5", "3"},
		{"scram-sha-1", "4"},
		{"SCRAM-SHA-256", "5"},
		{"PLAIN-TRUNC", ""},
		{"ARGON2ID", ""},
		{"CRYPT", ""},
		{"PLAIN-MD5", ""},
		{"NOSUCH", ""},
		{"PLAIN.rot13", ""},
	} {
		for _, kind := range append(kinds(), 0, 99) {
			want := kind < 10 && strings.Contains(tc.want, string('0'+rune(kind)))
			if got := CanServe(tc.scheme, kind); got != want {
				t.Errorf("%s for %s: %v", tc.scheme, kind, got)
			}
		}
	}
}

func TestCannotderive(t *testing.T) {
	const scram = "{SCRAM-SHA-1}4096,sjDuoBYUh0z/hUMEUlJf6A==," + scramTail
	for _, tc := range []struct {
		stored string
		kind   sasl.SecretKind
		p      Policy
		want   fail.Kind
		says   []string
	}{
		{scram, sasl.SecretSCRAMSHA256, Policy{}, fail.Permanent, []string{"SCRAM-SHA-1", "SCRAM-SHA-256"}},
		{"$2y$05$qnAGVJkycoflAq4xWzMtZ..qnSD7DaIpEh6DyKK3bakrhzMCh/bDK", sasl.SecretPlain, Policy{}, fail.Permanent, []string{"BLF-CRYPT", "APOP"}},
		{"{CRAM-MD5}cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56", sasl.SecretDigestMD5, Policy{}, fail.Permanent, []string{"CRAM-MD5", "DIGEST-MD5"}},
		{"{PLAIN-TRUNC}3-secret", sasl.SecretCRAMMD5, everything(), fail.Permanent, []string{"PLAIN-TRUNC", "CRAM-MD5"}},
		{"{PLAIN}secret", sasl.SecretCRAMMD5, Policy{}, fail.Invalid, []string{"passwords.allow_schemes", "PLAIN"}},
		{"{CRAM-MD5}cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56", sasl.SecretCRAMMD5, Policy{}, fail.Invalid, []string{"allow CRAM-MD5"}},
		{"{NOSUCH}secret", sasl.SecretCRAMMD5, everything(), fail.Invalid, []string{"NOSUCH"}},
	} {
		got, err := derive(tc.stored, tc.kind, "u", "", tc.p)
		if !fail.Is(err, tc.want) || !reflect.DeepEqual(got, sasl.Secret{}) {
			t.Errorf("%s for %s: %+v %v", tc.stored, tc.kind, got, err)
			continue
		}
		for _, part := range tc.says {
			if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s for %s: %v", tc.stored, tc.kind, err)
			}
		}
	}
	if s, err := derive(scram, sasl.SecretSCRAMSHA1, "u", "", Policy{}); err != nil || s.Iter != 4096 || len(s.StoredKey) != 20 {
		t.Errorf("%+v %v", s, err)
	}
}

// A decoy is always the same for a user, another for each, and looks like what
// the user would have.
func TestDecoySecret(t *testing.T) {
	key := []byte("key of this installation")
	p := everything()
	p.SaltKey = key
	for _, kind := range kinds() {
		a := DecoySecret(key, "alice", kind)
		if !reflect.DeepEqual(a, DecoySecret(key, "alice", kind)) {
			t.Errorf("%s: not the same twice", kind)
		}
		if reflect.DeepEqual(a, DecoySecret(key, "bob", kind)) || reflect.DeepEqual(a, DecoySecret([]byte("other"), "alice", kind)) {
			t.Errorf("%s: the same for another user or key", kind)
		}
		real1, err := derive("{PLAIN}secret", kind, "alice", "", p)
		if err != nil {
			t.Fatal(err)
		}
		if a.Iter != real1.Iter || !bytes.Equal(a.Salt, real1.Salt) || len(a.StoredKey) != len(real1.StoredKey) || len(a.ServerKey) != len(real1.ServerKey) {
			t.Errorf("%s: %+v can be told from %+v", kind, a, real1)
		}
		if bytes.Equal(a.StoredKey, real1.StoredKey) && len(a.StoredKey) > 0 || a.Plain == "secret" || a.A1 == real1.A1 && kind == sasl.SecretDigestMD5 {
			t.Errorf("%s: the decoy is real", kind)
		}
	}
	if !reflect.DeepEqual(DecoySecret(key, "alice", 0), sasl.Secret{}) {
		t.Error("a decoy of no kind")
	}
}

// What a decoy costs is what a readable password costs: the same salt, as many
// iterations, and no key that fits anybody's password.
func TestDeriveDecoy(t *testing.T) {
	p := everything()
	p.SaltKey = []byte("key")
	for _, kind := range kinds() {
		real1, err := Derive("{PLAIN}secret", kind, "alice", "", p)
		if err != nil {
			t.Fatal(err)
		}
		decoy := DeriveDecoy(kind, "alice", p)
		if _, err := decoy.Secret(); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: there is a secret before it was made: %v", kind, err)
		}
		if Cheap(decoy) != Cheap(real1) || !decoy.Verify(nil, "") || !real1.Verify(nil, "") || decoy.Scheme() != real1.Scheme() {
			t.Errorf("%s: the decoy is another kind of work", kind)
		}
		a, err1 := decoy.Secret()
		b, err2 := real1.Secret()
		if err1 != nil || err2 != nil || a.Iter != b.Iter || !bytes.Equal(a.Salt, b.Salt) || reflect.DeepEqual(a, b) {
			t.Errorf("%s: %+v and %+v, %v, %v", kind, a, b, err1, err2)
		}
		if none := DeriveDecoy(kind, "alice", Policy{Allow: []string{"PLAIN-TRUNC", "CRAM-MD5", "NOSUCH"}}); !Cheap(none) {
			t.Errorf("%s: a decoy where no password is readable costs something", kind)
		}
	}
}
