package scheme

import (
	"crypto/md5"
	"crypto/subtle"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// digestSalt is the length of new salts in bytes. Dovecot makes 4 and reads
// any.
const digestSalt = 16

// digestHash is H(password) or H(password, salt), once.
type digestHash struct {
	row       row
	sum, salt []byte
}

func parseDigest(in input) (Hash, error) {
	return digestHash{row: in.row, sum: []byte(in.raw)}, nil
}

// parseMD5 reads what {MD5} stands for: an MD5-CRYPT hash, or a PLAIN-MD5 one in
// either encoding.
func parseMD5(in input) (Hash, error) {
	if strings.HasPrefix(in.raw, "$1$") {
		return parseMD5Crypt(in)
	}
	in.row.name, in.row.kind, in.row.enc, in.row.size = "PLAIN-MD5", "", asHex, md5.Size
	raw, err := in.row.decode(in.raw, "")
	if err != nil {
		return nil, err
	}
	return digestHash{row: in.row, sum: []byte(raw)}, nil
}

func parseSalted(in input) (Hash, error) {
	n := in.row.hash().Size()
	if len(in.raw) <= n {
		return nil, fail.New(fail.Invalid, "%s hash has %d bytes, no salt is left", in.row.name, len(in.raw))
	}
	return digestHash{row: in.row, sum: []byte(in.raw[:n]), salt: []byte(in.raw[n:])}, nil
}

func (h digestHash) Scheme() string { return h.row.scheme() }

func (h digestHash) Verify(_ *Workspace, password string) bool {
	return subtle.ConstantTimeCompare(h.row.digest(password, h.salt), h.sum) == 1
}

func (r row) digest(password string, salt []byte) []byte {
	d := r.hash()
	_, _ = d.Write([]byte(password))
	_, _ = d.Write(salt)
	return d.Sum(nil)
}

func generateDigest(o order) ([]byte, error) { return o.row.digest(o.password, nil), nil }

func generateSalted(o order) ([]byte, error) {
	salt := random(digestSalt)
	return append(o.row.digest(o.password, salt), salt...), nil
}
