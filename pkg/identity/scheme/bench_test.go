package scheme

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const benchPassword = "correct horse"

// BenchmarkVerify measures checks beside crypt(3), and Argon2id beside
// libsodium, which Dovecot uses, if gcc and the libraries are there.
func BenchmarkVerify(b *testing.B) {
	crypt3, sodium := peer(b, "-lcrypt"), peer(b, "-DSODIUM", "-l:libsodium.so.23")
	for _, bc := range []struct{ name, stored, peer, setting string }{
		{"SHA512-CRYPT", "$6$abcdefghijklmnop$q2YZbPhm1LySTIzZVDisu/y2CX1McrFsw529ViOLMxoKT.sfgjBo4aFu.hwtGjEDxRb6mn/TZMj7V4/1AUTLi1", crypt3, "$6$abcdefghijklmnop"},
		{"SHA256-CRYPT", "$5$abcdefghijklmnop$eLlGDRRp0Ru9mPmgmlr4LXrFitzWX28EZT5eMNr5fN6", crypt3, "$5$abcdefghijklmnop"},
		{"BLF-CRYPT", "$2y$08$arICc5c6Fh5BROiScWO8/eQZnQUT47o8ocU0lMiMtHM5s6/t0sn7i", crypt3, "$2y$08$arICc5c6Fh5BROiScWO8/e"},
		{"MD5-CRYPT", "$1$abcdefgh$y6iHhJNbuC0xpbk0w9pm80", crypt3, "$1$abcdefgh"},
		{"yescrypt", "$y$j9T$abcdefghijklmnop$0Hi8KsZH/hAMRN9Bam6ce3nmi5QAIz3R/KeaXG/c7p9", crypt3, "$y$j9T$abcdefghijklmnop"},
		{"DES-CRYPT", "abhfCpXqd4GrI", crypt3, "ab"},
		{"ARGON2ID", "", sodium, ""},
		{"PBKDF2", "", "", ""},
		{"SCRAM-SHA-256", "", "", ""},
		{"SSHA512", "", "", ""},
	} {
		b.Run(bc.name+"/this", func(b *testing.B) { benchVerify(b, bc.name, bc.stored) })
		if bc.peer != "" {
			b.Run(bc.name+"/peer", func(b *testing.B) { benchPeer(b, bc.peer, bc.setting) })
		}
	}
}

func benchVerify(b *testing.B, name, stored string) {
	var w Workspace
	var err error
	if stored == "" {
		if stored, err = Generate(&w, name, benchPassword); err != nil {
			b.Fatal(err)
		}
	}
	p := everything()
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		h, err := Parse(stored, p)
		if err != nil || !h.Verify(&w, benchPassword) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what this process used so far: other programs of the machine must
// not change the comparison.
func cpuTime(b *testing.B) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}

// peer compiles testdata/peer.c; empty if that cannot be done.
func peer(b *testing.B, args ...string) string {
	program := filepath.Join(b.TempDir(), "peer")
	args = append([]string{"-O2", "-o", program, "testdata/peer.c"}, args...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		b.Logf("without a peer: gcc %s: %v\n%s", strings.Join(args, " "), err, out)
		return ""
	}
	return program
}

func benchPeer(b *testing.B, program, setting string) {
	args := []string{strconv.Itoa(b.N)}
	if setting != "" {
		args = append(args, setting)
	}
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		b.Fatal(err)
	}
	ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(ns, "cpu-ns/op")
}
