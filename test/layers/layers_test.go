package main

import (
	"strings"
	"testing"
)

const page = `
<!-- layers:begin -->
| layer | below it | inside | packages |
|---|---|---|---|
| platform | – | leftwards | fail disk |
| proto | platform | leftwards | smtp/wire smtp/server |
| mta | proto platform | freely | |
<!-- layers:end -->
<!-- links:begin -->
| binary | never links |
|---|---|
| mtad | pkg/store os/exec |
<!-- links:end -->
`

func TestImportRule(t *testing.T) {
	p, err := readPlan(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{"pkg/platform/disk", "pkg/platform/fail", ""},
		{"pkg/platform/fail", "pkg/platform/disk", "to the right"},
		{"pkg/platform/disk", "pkg/proto/smtp/wire", "not below"},
		{"pkg/proto/smtp/server", "pkg/proto/smtp/wire", ""},
		{"pkg/proto/smtp/wire", "pkg/proto/smtp/server", "to the right"},
		{"pkg/proto/smtp/server/sub", "pkg/proto/smtp/server", ""},
		{"pkg/proto/ftp", "pkg/platform/fail", "not in the row"},
		{"pkg/mta/a", "pkg/mta/b", ""},
		{"pkg/proto/smtp/wire", "pkg/mta/a", "not below"},
		{"pkg/util", "pkg/platform/fail", "not a layer"},
		{"pkg/mta/a", "test/x", "pkg/ only"},
		{"pkg/mta/a", "os", ""},
	} {
		imp := c.to
		if strings.Contains(imp, "/") {
			imp = module + imp
		}
		got := strings.Join(p.checkImports([]pkgInfo{{ImportPath: module + c.from, Imports: []string{imp}}}), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s -> %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestLinkRule(t *testing.T) {
	p, err := readPlan(page)
	if err != nil {
		t.Fatal(err)
	}
	got := p.links[0].check([]string{"os", "os/exec", module + "pkg/store/maildir", module + "pkg/storex"})
	if len(got) != 2 {
		t.Fatalf("faults: %q", got)
	}
}

// The real page parses and has a row for every daemon.
func TestRealPage(t *testing.T) {
	if faults, err := checkPage("../../docs/architecture.md"); err != nil || faults != 4 {
		t.Fatalf("%d link rows, %v", faults, err)
	}
}
