package dovecot

import "testing"

// Whatever the files hold, reading them ends without a panic.
func FuzzFiles(f *testing.F) {
	f.Add([]byte("\x07\x03x\x00"))
	f.Add([]byte("\x01\x03\x28\x00aaaabbbbccccddddeeee\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x80\x80\x80\x83\x00\x00\x08\x10aaaa"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		readIndex(b)
		readLog(b)
	})
}
