package fail

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestKindSurvivesWrapping(t *testing.T) {
	inner := New(NotFound, "user %s", "bob")
	outer := fmt.Errorf("looking up: %w", inner)
	if !Is(outer, NotFound) {
		t.Fatalf("kind of %v is %v", outer, KindOf(outer))
	}
	if got := Wrap(Denied, outer, "deliver"); KindOf(got) != Denied || got.Error() != "deliver: looking up: user bob" {
		t.Fatalf("outermost kind must win: %v %v", KindOf(got), got)
	}
}

func TestUnclassifiedIsTemporary(t *testing.T) {
	if KindOf(io.EOF) != Temporary || Is(nil, Temporary) {
		t.Fatal("an unforeseen error must be temporary, and nil is no error")
	}
	if Wrap(Full, nil, "x") != nil {
		t.Fatal("wrapping nil must stay nil")
	}
	if !errors.Is(Wrap(Full, io.EOF, "x"), io.EOF) {
		t.Fatal("cause lost")
	}
}
