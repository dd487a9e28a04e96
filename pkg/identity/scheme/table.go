package scheme

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 Stored passwords of old systems use it; it is off unless allowed.
)

// row is a scheme.
type row struct {
	name string
	kind string   // what Hash.Scheme says; empty: name
	weak string   // why it is off unless allowed; empty: it is on
	enc  encoding // of a body whose encoding the name does not say
	size int      // length of every hash in bytes; 0: it varies
	cost costKind // which costs it has
	hash func() hash.Hash
	// parse reads what follows "{SCHEME}", decoded.
	parse func(in input) (Hash, error)
	// generate makes it; nil: such hashes are verified only.
	generate func(o order) ([]byte, error)
}

// input is a stored password to parse.
type input struct {
	row    row
	raw    string
	user   string // may be unknown
	policy Policy
}

// order is a password to hash; the costs were checked and are complete.
type order struct {
	row      row
	w        *Workspace
	password string
	user     string
	costs    Costs
}

// Why schemes are weak.
const (
	readable = "keeps the password readable"
	unsalted = "has no salt"
	fastMD5  = "is built on MD5"
	fastMD4  = "is built on MD4"
	fastDES  = "is built on DES"
)

// schemes is the table. Nothing writes to it.
var schemes = [...]row{
	{name: "ARGON2ID", parse: parseArgon2, generate: generateArgon2, cost: argonCosts},
	{name: "ARGON2I", parse: parseArgon2, generate: generateArgon2, cost: argonCosts},
	{name: "BLF-CRYPT", parse: parseBcrypt, generate: generateBcrypt, cost: bcryptCosts},
	{name: "SHA512-CRYPT", parse: parseCrypt, generate: generateSHACrypt, cost: shaCosts},
	{name: "SHA256-CRYPT", parse: parseCrypt, generate: generateSHACrypt, cost: shaCosts},
	{name: "CRYPT", kind: "BLF-CRYPT", parse: parseCrypt, generate: generateBcrypt, cost: bcryptCosts},
	{name: "PBKDF2", parse: parsePBKDF2, generate: generatePBKDF2, cost: pbkdf2Costs},
	{name: "SCRAM-SHA-256", hash: sha256.New, parse: parseSCRAM, generate: generateSCRAM, cost: scramCosts},
	{name: "SCRAM-SHA-1", hash: sha1.New, parse: parseSCRAM, generate: generateSCRAM, cost: scramCosts},
	{name: "SSHA512", enc: asBase64, hash: sha512.New, parse: parseSalted, generate: generateSalted},
	{name: "SSHA256", enc: asBase64, hash: sha256.New, parse: parseSalted, generate: generateSalted},
	{name: "SSHA", enc: asBase64, hash: sha1.New, parse: parseSalted, generate: generateSalted},

	{name: "SHA512", weak: unsalted, enc: asBase64, size: sha512.Size, hash: sha512.New, parse: parseDigest, generate: generateDigest},
	{name: "SHA256", weak: unsalted, enc: asBase64, size: sha256.Size, hash: sha256.New, parse: parseDigest, generate: generateDigest},
	{name: "SHA1", weak: unsalted, enc: asBase64, size: sha1.Size, hash: sha1.New, parse: parseDigest, generate: generateDigest},
	{name: "SHA", kind: "SHA1", weak: unsalted, enc: asBase64, size: sha1.Size, hash: sha1.New, parse: parseDigest, generate: generateDigest},
	{name: "SMD5", weak: fastMD5, enc: asBase64, hash: md5.New, parse: parseSalted, generate: generateSalted},
	{name: "MD5-CRYPT", weak: fastMD5, parse: parseMD5Crypt, generate: generateMD5Crypt},
	{name: "MD5", kind: "MD5-CRYPT", weak: fastMD5, hash: md5.New, parse: parseMD5, generate: generateMD5Crypt},
	{name: "PLAIN-MD5", weak: unsalted, enc: asHex, size: md5.Size, hash: md5.New, parse: parseDigest, generate: generateDigest},
	{name: "LDAP-MD5", kind: "PLAIN-MD5", weak: unsalted, enc: asBase64, size: md5.Size, hash: md5.New, parse: parseDigest, generate: generateDigest},
	{name: "PLAIN-MD4", weak: fastMD4, enc: asHex, size: md4.Size, hash: md4.New, parse: parseDigest, generate: generateDigest},
	{name: "DES-CRYPT", weak: fastDES, parse: parseCrypt, generate: generateDES},
	{name: "CRAM-MD5", weak: fastMD5, enc: asHex, size: cramSize, parse: parseCRAM, generate: generateCRAM},
	{name: "HMAC-MD5", kind: "CRAM-MD5", weak: fastMD5, enc: asHex, size: cramSize, parse: parseCRAM, generate: generateCRAM},
	{name: "DIGEST-MD5", weak: fastMD5, enc: asHex, size: md5.Size, parse: parseDigestMD5, generate: generateDigestMD5},
	{name: "PLAIN", weak: readable, parse: parsePlain, generate: generatePlain},
	{name: "CLEARTEXT", kind: "PLAIN", weak: readable, parse: parsePlain, generate: generatePlain},
	{name: "CLEAR", kind: "PLAIN", weak: readable, parse: parsePlain, generate: generatePlain},
	{name: "PLAIN-TRUNC", weak: readable, parse: parseTruncated},
}

func find(name string) (row, bool) {
	for i := range schemes {
		if strings.EqualFold(schemes[i].name, name) {
			return schemes[i], true
		}
	}
	return row{}, false
}

// scheme is the kind of the row's hashes.
func (r row) scheme() string {
	if r.kind != "" {
		return r.kind
	}
	return r.name
}

// Names lists the schemes that Generate knows, the default first.
func Names() []string {
	var names []string
	for _, r := range schemes {
		if r.generate != nil {
			names = append(names, r.name)
		}
	}
	return names
}
