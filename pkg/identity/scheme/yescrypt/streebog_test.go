package yescrypt

import (
	"encoding/hex"
	"testing"
)

// The examples of RFC 6986 section 10, as bytes in the order of the message.
func TestStreebog(t *testing.T) {
	second, err := hex.DecodeString("d1e520e2e5f2f0e82c20d1f2f0e8e1eee6e820e2edf3f6e82c20e2e5fef2fa20f120eceef0ff20f1f2f0e5ebe0ece820ede020f5f0e0e1f0fbff20efebfaeafb20c8e3eef0e5e2fb")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		message []byte
		want    string
	}{
		{[]byte("012345678901234567890123456789012345678901234567890123456789012"), "9d151eefd8590b89daa6ba6cb74af9275dd051026bb149a452fd84e5e57b5500"},
		{second, "9dd2fe4e90409e5da87f53976d7405b0c0cac628fc669a741d50063c557e8f50"},
		{[]byte("foobar"), "e3c9fd89226d93b489a9fe27d686806e24a514e3787bca053c698ec4616ceb78"},
	} {
		h := newStreebog()
		for len(tc.message) > 0 { // in pieces, and asked in between
			n := min(len(tc.message), 7)
			h.Write(tc.message[:n])
			h.Sum(nil)
			tc.message = tc.message[n:]
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != tc.want {
			t.Errorf("%s, want %s", got, tc.want)
		}
	}
}
