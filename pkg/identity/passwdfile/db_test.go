package passwdfile

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestDB(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "100%"), "alice:x\n")
	loads := 0
	db, err := NewDB(Config{Path: dir + "/100%%", Username: "%{username}"}, func(string, *Snapshot) { loads++ })
	if err != nil || db.File() == nil {
		t.Fatal(err)
	}
	r := &request.Request{User: "alice@example.org"}
	for range 2 {
		if e, err := db.Find(r); err != nil || e.Name != "alice" {
			t.Error(e, err)
		}
	}
	if err := db.SetPassword(t.Context(), r, "{PLAIN}y"); err != nil {
		t.Fatal(err)
	}
	if e, err := db.Find(r); err != nil || e.Password != "{PLAIN}y" || loads != 2 {
		t.Error(e, err, loads)
	}
	// One file that is missing is an outage.
	gone, _ := NewDB(Config{Path: dir + "/gone"}, nil)
	if _, err := gone.Find(r); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	// One of many that is missing has no users; memory for them is bounded.
	many, err := NewDB(Config{Path: dir + "/%{domain}"}, nil)
	if err != nil || many.File() != nil {
		t.Fatal(err)
	}
	for i := range maxFiles + 10 {
		if _, err := many.Find(&request.Request{User: "a@" + strconv.Itoa(i) + ".example"}); !fail.Is(err, fail.NotFound) {
			t.Fatal(err)
		}
	}
	if len(many.files) > maxFiles {
		t.Errorf("%d files are kept", len(many.files))
	}
	for _, c := range []Config{{Path: "/%{nosuch}"}, {Path: "/x", Username: "%{"}} {
		if _, err := NewDB(c, nil); !fail.Is(err, fail.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestExpand(t *testing.T) {
	r := &request.Request{User: "a@d"}
	fields := []account.Field{{Key: "x", Value: "1"}, {Key: "mail", Value: "/m/%n"}, {Key: "y", Flag: true}}
	got, err := Expand(fields, r)
	if err != nil || len(got) != 3 || got[1].Value != "/m/a" || fields[1].Value != "/m/%n" || !got[2].Flag {
		t.Error(got, err)
	}
	if same, err := Expand(fields[:1], r); err != nil || len(same) != 1 {
		t.Error(same, err)
	}
	if _, err := Expand([]account.Field{{Key: "x", Value: "%{nosuch}"}}, r); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	type file struct {
		File Config `yaml:"passwd_file" doc:"A file."`
	}
	var f file
	f.File.Preset()
	if err := conf.Parse("f", []byte("passwd_file: {path: users, username_format: \"%{nosuch}\"}\n"), &f); err == nil {
		t.Error("accepted")
	} else if p, _ := err.(conf.Problems); len(p) != 2 {
		t.Error(err)
	}
}
