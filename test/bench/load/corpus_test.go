package load

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/message"
)

// Messages are the same each time, well formed, and of the sizes that they
// should have.
func TestMessage(t *testing.T) {
	var sizes []int
	kinds := map[string]int{}
	for i := range 200 {
		m := Message(i)
		if !bytes.Equal(m, Message(i)) {
			t.Fatalf("message %d is not always the same", i)
		}
		if bytes.Count(m, []byte("\n")) != bytes.Count(m, []byte("\r\n")) || !bytes.HasSuffix(m, []byte("\r\n")) {
			t.Errorf("message %d has lines that are not ended by CRLF", i)
		}
		p, err := message.ParseStructure(bytes.NewReader(m), message.DefaultLimits())
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		kinds[string(message.AppendBodyStructure(nil, p, false)[:8])]++
		sizes = append(sizes, len(m))
	}
	slices.Sort(sizes)
	if median := sizes[100]; median < 6000 || median > 11000 || sizes[0] < 800 || sizes[199] > 210<<10 {
		t.Errorf("median %d, from %d to %d bytes", median, sizes[0], sizes[199])
	}
	if len(kinds) < 2 {
		t.Errorf("all have the structure of %v", kinds)
	}
	if n := len(Sized(7, 100<<10)); n < 95<<10 || n > 105<<10 {
		t.Errorf("of 100 KB asked for it has %d bytes", n)
	}
}

var fileName = regexp.MustCompile(`^\d+\.M(\d{6})P1\.bench\.test,S=(\d+),W=(\d+):2,[FRS]*$`)

func TestMaildir(t *testing.T) {
	dir := t.TempDir()
	if err := Maildir(dir, 20, -1); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(dir, "cur"))
	if err != nil || len(files) != 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for i, f := range files {
		m := fileName.FindStringSubmatch(f.Name())
		text, err := os.ReadFile(filepath.Join(dir, "cur", f.Name()))
		if m == nil || err != nil {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		wire := strings.ReplaceAll(string(text), "\n", "\r\n")
		if wire != string(Message(i)) || m[2] != fmt.Sprint(len(text)) || m[3] != fmt.Sprint(len(wire)) {
			t.Errorf("%s has not what its name says", f.Name())
		}
		if info, err := f.Info(); err != nil || !info.ModTime().Equal(Written(i)) {
			t.Errorf("%s: %v, %v", f.Name(), info.ModTime(), err)
		}
	}
}
