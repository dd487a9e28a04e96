package service

import "testing"

func TestQuiet(t *testing.T) {
	const mb = 1 << 20
	var q quiet
	for i, tc := range []struct {
		cycles, allocated uint64
		want              bool
		why               string
	}{
		{2, 100 * mb, false, "it is just starting"},
		{2, 100 * mb, true, "nothing has happened since"},
		{3, 100 * mb, false, "that was collected"},
		{3, 103 * mb, false, "it is busy"},
		{3, 103 * mb, false, "3 MB are not worth it"},
		{3, 112 * mb, false, "it is busy again"},
		{3, 112 * mb, true, "12 MB are worth it"},
		{4, 112 * mb, false, "that was collected"},
		{5, 130 * mb, false, "it is busy, the runtime has collected"},
		{5, 130 * mb, true, "what came after that collection may be 18 MB"},
		{6, 130 * mb, false, "that was collected"},
	} {
		if got := q.due(tc.cycles, tc.allocated); got != tc.want {
			t.Errorf("look %d: %v, but %s", i, got, tc.why)
		}
	}
}
