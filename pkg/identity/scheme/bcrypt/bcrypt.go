package bcrypt

// Limits of the format.
const (
	SaltLen = 22 // characters
	HashLen = 31 // characters
	MinCost = 4
	MaxCost = 31
	// MaxPassword is how many bytes of a password count.
	MaxPassword = 72
)

const (
	pWords   = 18
	boxWords = 256
)

// State is the memory of one computation at a time. The zero value is ready.
type State struct {
	p [pWords]uint32
	s [4][boxWords]uint32
}

// Wipe clears what the last computation left.
func (st *State) Wipe() { *st = State{} }

// Hash is the HashLen characters behind the salt, for a variant of a, b, x or y
// and 2^cost rounds. The caller has checked cost and password; what follows a
// NUL does not count.
func (st *State) Hash(password string, salt [16]byte, variant byte, cost int) string {
	key, flip := expandKey(password, variant)
	*st = initial
	st.p[0] ^= flip
	var words [4]uint32
	for i := range words {
		words[i] = uint32(salt[4*i])<<24 | uint32(salt[4*i+1])<<16 | uint32(salt[4*i+2])<<8 | uint32(salt[4*i+3])
	}
	st.first(&key, &words)
	var saltKey [pWords]uint32
	for i := range saltKey {
		saltKey[i] = words[i&3]
	}
	for range uint64(1) << cost {
		st.expand(&key)
		st.expand(&saltKey)
	}
	return encode(st.final())
}

// first is the key schedule with a salt, which is mixed in before each block.
func (st *State) first(key *[pWords]uint32, salt *[4]uint32) {
	for i := range st.p {
		st.p[i] ^= key[i]
	}
	var l, r uint32
	half := 0
	next := func() (uint32, uint32) {
		l, r = st.encrypt(l^salt[half], r^salt[half+1])
		half ^= 2
		return l, r
	}
	for i := 0; i < pWords; i += 2 {
		st.p[i], st.p[i+1] = next()
	}
	for b := range st.s {
		for i := 0; i < boxWords; i += 2 {
			st.s[b][i], st.s[b][i+1] = next()
		}
	}
}

// expand is the key schedule without a salt.
func (st *State) expand(key *[pWords]uint32) {
	for i := range st.p {
		st.p[i] ^= key[i]
	}
	var l, r uint32
	for i := 0; i < pWords; i += 2 {
		l, r = st.encrypt(l, r)
		st.p[i], st.p[i+1] = l, r
	}
	for b := range st.s {
		box := &st.s[b]
		for i := 0; i < boxWords; i += 2 {
			l, r = st.encrypt(l, r)
			box[i], box[i+1] = l, r
		}
	}
}

// final encrypts a text of three blocks 64 times.
func (st *State) final() [24]byte {
	var out [24]byte
	const text = "OrpheanBeholderScryDoubt"
	for i := 0; i < len(text); i += 8 {
		l := uint32(text[i])<<24 | uint32(text[i+1])<<16 | uint32(text[i+2])<<8 | uint32(text[i+3])
		r := uint32(text[i+4])<<24 | uint32(text[i+5])<<16 | uint32(text[i+6])<<8 | uint32(text[i+7])
		for range 64 {
			l, r = st.encrypt(l, r)
		}
		for j := range 4 {
			out[i+j], out[i+4+j] = byte(l>>(24-8*j)), byte(r>>(24-8*j))
		}
	}
	return out
}

// encrypt is Blowfish. All of its time is here: sixteen rounds in a row, each
// waiting for four reads, and nothing else. The subkey is mixed in first,
// outside the chain of what waits.
func (st *State) encrypt(l, r uint32) (uint32, uint32) {
	s := &st.s
	l ^= st.p[0]
	r ^= st.p[1]
	r ^= ((s[0][l>>24] + s[1][byte(l>>16)]) ^ s[2][byte(l>>8)]) + s[3][byte(l)]
	l ^= st.p[2]
	l ^= ((s[0][r>>24] + s[1][byte(r>>16)]) ^ s[2][byte(r>>8)]) + s[3][byte(r)]
	r ^= st.p[3]
	r ^= ((s[0][l>>24] + s[1][byte(l>>16)]) ^ s[2][byte(l>>8)]) + s[3][byte(l)]
	l ^= st.p[4]
	l ^= ((s[0][r>>24] + s[1][byte(r>>16)]) ^ s[2][byte(r>>8)]) + s[3][byte(r)]
	r ^= st.p[5]
	r ^= ((s[0][l>>24] + s[1][byte(l>>16)]) ^ s[2][byte(l>>8)]) + s[3][byte(l)]
	l ^= st.p[6]
	l ^= ((s[0][r>>24] + s[1][byte(r>>16)]) ^ s[2][byte(r>>8)]) + s[3][byte(r)]
	r ^= st.p[7]
	r ^= ((s[0][l>>24] + s[1][byte(l>>16)]) ^ s[2][byte(l>>8)]) + s[3][byte(l)]
	l ^= st.p[8]
	l ^= ((s[0][r>>24] + s[1][byte(r>>16)]) ^ s[2][byte(r>>8)]) + s[3][byte(r)]
	r ^= st.p[9]
	r ^= ((s[0][l>>24] + s[1][byte(l>>16)]) ^ s[2][byte(l>>8)]) + s[3][byte(l)]
	l ^= st.p[10]
	l ^= ((s[0][r>>24] + s[1][byte(r>>16)]) ^ s[2][byte(r>>8)]) + s[3][byte(r)]
	r ^= st.p[11]
	r ^= ((s[0][l>>24] + s[1][byte(l>>16)]) ^ s[2][byte(l>>8)]) + s[3][byte(l)]
	l ^= st.p[12]
	l ^= ((s[0][r>>24] + s[1][byte(r>>16)]) ^ s[2][byte(r>>8)]) + s[3][byte(r)]
	r ^= st.p[13]
	r ^= ((s[0][l>>24] + s[1][byte(l>>16)]) ^ s[2][byte(l>>8)]) + s[3][byte(l)]
	l ^= st.p[14]
	l ^= ((s[0][r>>24] + s[1][byte(r>>16)]) ^ s[2][byte(r>>8)]) + s[3][byte(r)]
	r ^= st.p[15]
	r ^= ((s[0][l>>24] + s[1][byte(l>>16)]) ^ s[2][byte(l>>8)]) + s[3][byte(l)]
	l ^= st.p[16]
	l ^= ((s[0][r>>24] + s[1][byte(r>>16)]) ^ s[2][byte(r>>8)]) + s[3][byte(r)]
	return r ^ st.p[17], l
}
