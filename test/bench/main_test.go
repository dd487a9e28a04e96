package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/platform/conf"
)

func TestParse(t *testing.T) {
	var all []string
	for _, s := range suites() {
		all = append(all, s.Name)
	}
	usual := Options{Suites: all, Reps: 2, Scale: 0.5, Messages: 20000, Deferred: 50000, Bin: "./bin"}
	with := func(edit func(*Options)) Options { o := usual; edit(&o); return o }
	for _, tc := range []struct {
		args string
		want Options
		err  string
	}{
		{"", usual, ""},
		{"-suite auth,smtp -reps 1", with(func(o *Options) { o.Suites, o.Reps = []string{"auth", "smtp"}, 1 }), ""},
		{"-scale 0.1 -bin /opt/bin", with(func(o *Options) { o.Scale, o.Bin = 0.1, "/opt/bin" }), ""},
		{"-scenario idle", with(func(o *Options) { o.Scenario = "idle" }), ""},
		{"-suite auth,imap", Options{}, `no suite "imap", only auth, smtp`},
		{"-suite=", Options{}, `no suite ""`},
		{"-reps 0", Options{}, "-reps"},
		{"-scale -1", Options{}, "-scale"},
		{"-messages 0", Options{}, "-messages"},
		{"-messages 100000", with(func(o *Options) { o.Messages = 100000 }), ""},
		{"-deferred 1000000", with(func(o *Options) { o.Deferred = 1000000 }), ""},
		{"-reps x", Options{}, "-reps"},
		{"auth", Options{}, `what is "auth"?`},
		{"-nosuch", Options{}, "-nosuch"},
	} {
		got, err := parse(strings.Fields(tc.args))
		switch {
		case tc.err == "" && (err != nil || !reflect.DeepEqual(got, tc.want)):
			t.Errorf("%s: %+v %v", tc.args, got, err)
		case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
			t.Errorf("%s: %v, want %s", tc.args, err, tc.err)
		}
	}
}

// A run is repeated with more work until its CPU time can be read.
func TestSteady(t *testing.T) {
	var asked []int
	r, err := steady(10, func(n int) (Result, error) {
		asked = append(asked, n)
		return Result{Ops: n, Wall: time.Duration(n) * time.Millisecond}, nil
	})
	if err != nil || r.Wall < enough || asked[0] != 10 || len(asked) != 2 {
		t.Errorf("%v: %+v %v", asked, r, err)
	}
	broken := errors.New("broken")
	if _, err := steady(10, func(int) (Result, error) { return Result{}, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// The suite's configuration is one that authd takes.
func TestAuthdConfig(t *testing.T) {
	c := authconf.Default()
	if err := conf.Parse("authd.yaml", []byte(fmt.Sprintf(authdConfig, "/tmp/bench", "/tmp/bench/users")), &c); err != nil {
		t.Error(err)
	}
}
