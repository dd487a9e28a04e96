package spool

import (
	"bytes"
	"os"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
)

func TestErase(t *testing.T) {
	fsys := disk.NewForgetful()
	for _, size := range []int{0, 1, 64 << 10, 200001} {
		f, err := fsys.OpenFile("/x", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(bytes.Repeat([]byte{'x'}, size)); err != nil {
			t.Fatal(err)
		}
		for _, zero := range []bool{false, true} {
			s := &Spool{cfg: Config{FS: fsys, Zero: zero}}
			if err := s.erase("/x"); err != nil {
				t.Fatal(err)
			}
			got, err := disk.ReadFile(fsys, "/x", 1<<20)
			if err != nil || len(got) != size {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if left := bytes.Count(got, []byte{'x'}); zero && left > 0 || !zero && left != size {
				t.Errorf("size %d, zero %v: %d bytes are left", size, zero, left)
			}
		}
	}
	if err := (&Spool{cfg: Config{FS: fsys, Zero: true}}).erase("/nothing"); err != nil {
		t.Error(err)
	}
}
