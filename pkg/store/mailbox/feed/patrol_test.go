package feed

import (
	"context"
	"fmt"
	"testing"
)

// A round costs the same however many folders there are, and all have their
// turn.
func TestPatrolIsBounded(t *testing.T) {
	var f Feed
	looked := map[string]int{}
	total, changed := 0, false
	p := &Patrol{Feed: &f}
	p.List = func(context.Context) {
		var list []Folder
		for i := range 1000 {
			list = append(list, Folder{Name: fmt.Sprint("f", i), Exists: true})
		}
		list = append(list, Folder{Name: "subscribed only", Subscribed: true})
		p.Compare(list, func(string) bool { return false })
	}
	p.Look = func(_ context.Context, name string) bool {
		looked[name]++
		total++
		return changed
	}
	if p.Round(context.Background()); total != 0 || p.known != nil {
		t.Error("nobody follows, and a folder was looked at")
	}
	stop := f.Follow(Follower{Tell: func(Event) {}, Wants: func(name string) bool { return name != "f5" }})
	for i := range 1000/glances + 1 {
		before := total
		if p.Round(context.Background()); total-before > glances {
			t.Fatalf("round %d looks at %d folders", i, total-before)
		}
	}
	if len(looked) != 999 || total != 999 {
		t.Errorf("%d of 999 folders were looked at, %d times", len(looked), total)
	}
	changed = true
	before := total
	if p.Round(context.Background()); total-before != openings {
		t.Errorf("a round opens %d folders, %d are allowed", total-before, openings)
	}
	stop()
	before = total
	if p.Round(context.Background()); total != before {
		t.Error("nobody follows any more, and a folder was looked at")
	}
}
