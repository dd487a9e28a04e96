package bcrypt

// expandKey repeats the password and its NUL over the eighteen words of the
// key. flip is what variant a adds to the first word of the initial state.
//
// crypt_blowfish before 2011 extended the sign of bytes over 127, so that they
// spoilt the bytes before them. Variant x still does, to read what was stored
// then; b and y do not. Variant a is right as well, but where a password would
// have been spoilt in a way that makes others fit, its hash differs from the
// plain one by a bit, as a defence of those who hold both kinds.
func expandKey(password string, variant byte) (key [pWords]uint32, flip uint32) {
	var differ, spoilt uint32
	at := 0
	for i := range key {
		var right, signed uint32
		for j := range 4 {
			var c byte // the NUL that ends the password
			if at < len(password) {
				c = password[at]
			}
			right = right<<8 | uint32(c)
			signed = signed<<8 | uint32(int32(int8(c)))
			if j > 0 {
				spoilt |= signed & 0x80
			}
			if c == 0 {
				at = 0
			} else {
				at++
			}
		}
		differ |= right ^ signed
		key[i] = right
		if variant == 'x' {
			key[i] = signed
		}
	}
	if variant == 'a' && spoilt != 0 && differ == 0 {
		flip = 1 << 16
	}
	return key, flip
}
