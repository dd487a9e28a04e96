package scheme

import "testing"

// What needs no slot is checked without a Workspace.
func TestCheap(t *testing.T) {
	everything := Policy{Allow: Weak()}
	for _, name := range Names() {
		var w Workspace
		stored, err := GenerateWith(&w, name, "secret", Options{User: "bob@example.org"})
		if err != nil {
			t.Fatal(err)
		}
		h, err := ParseFor(stored, "bob@example.org", everything)
		if err != nil {
			t.Fatal(err)
		}
		if _, costs := h.(interface{ costs() Costs }); costs && Cheap(h) {
			t.Errorf("%s has costs and is called cheap", name)
		}
		if Cheap(h) && (!h.Verify(nil, "secret") || h.Verify(nil, "Secret")) {
			t.Errorf("%s is checked wrongly", name)
		}
	}
	for stored, want := range map[string]bool{
		"{PLAIN}x": true,
		"{SSHA256}" + "p1RhXoTQqvCaqdLZ2vYvQaHZbvcVnwrD2lJUr4S6HkNlc2FsdA==": true,
		"{MD5-CRYPT}$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/":                      false,
	} {
		h, err := Parse(stored, everything)
		if err != nil {
			t.Error(err)
		} else if Cheap(h) != want {
			t.Errorf("%.20s…: cheap %v", stored, !want)
		}
	}
}
