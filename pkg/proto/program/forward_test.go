package program

import (
	"context"
	"io"
	"strconv"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestForward(t *testing.T) {
	file := ForwardFile{Path: "/home/joe/.forward+x\n", Extension: true, Text: "a\n\nb\n"}
	whole := string(Reply{Output: string(file.Append(nil))}.Append(nil))
	exit := func(n int) string { return string(Reply{Exit: n, Output: "x\ny"}.Append(nil)) }
	for _, tc := range []struct {
		answer string
		want   ForwardFile
		kind   fail.Kind
	}{
		{answer: whole, want: file},
		{whole[:len(whole)-1], ForwardFile{}, fail.Unavailable}, // cut off
		{"exit 0\nsize=0\n\n", ForwardFile{}, fail.Unavailable},
		{"exit 0\npath=/x\nwhat=1\nsize=0\n\n", ForwardFile{}, fail.Unavailable},
		{"exit 0\n", ForwardFile{}, fail.Unavailable},
		{exit(ExitNoInput), ForwardFile{}, fail.NotFound},
		{exit(ExitNoPerm), ForwardFile{}, fail.Denied},
		{exit(ExitTemporary), ForwardFile{}, fail.Unavailable},
		{exit(ExitConfig), ForwardFile{}, fail.Unavailable},
	} {
		path := helper(t, func(r Request, body io.Reader) string {
			if _, err := io.ReadAll(body); err != nil || r.Ask != AskInclude || r.File != "/list" || r.Recipients[0].Address != "joe+x@ours.example" {
				return "exit 70\n"
			}
			return tc.answer
		})
		got, err := Forward(context.Background(), path, "joe+x@ours.example", "/list")
		if got != tc.want || (err == nil) != (tc.kind == 0) || err != nil && !fail.Is(err, tc.kind) {
			t.Errorf("%s: %+v, %v", strconv.Quote(tc.answer), got, err)
		}
	}
}
