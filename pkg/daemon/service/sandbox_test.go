package service

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// A process that has forbidden exec cannot start a program from any thread.
// The test runs itself as that process, because the filter is for good.
func TestForbidExec(t *testing.T) {
	if os.Getenv("FORBID_EXEC") != "" {
		forbidden()
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestForbidExec$")
	cmd.Env = append(os.Environ(), "FORBID_EXEC=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func forbidden() {
	if err := exec.Command("/bin/true").Run(); err != nil {
		os.Exit(3) // exec must work before, or the test shows nothing
	}
	if err := forbidExec(); err != nil {
		os.Exit(4)
	}
	for range 20 {
		failed := make(chan error)
		go func() { failed <- exec.Command("/bin/true").Run() }()
		if err := <-failed; !errors.Is(err, syscall.EPERM) {
			os.Exit(5)
		}
	}
	os.Exit(0)
}
