package netx

import (
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// parked puts a connection into the lot and returns what tells that it left.
func parked(t *testing.T, l *Lot, conn net.Conn, d time.Duration) (*Spot, <-chan struct{}) {
	t.Helper()
	left := make(chan struct{}, 2)
	s, err := l.Park(conn, d, func() { left <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	return s, left
}

func newLot(t *testing.T) *Lot {
	t.Helper()
	l, err := NewLot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// A connection leaves the lot for whatever it waits for, and can be parked again.
func TestLot(t *testing.T) {
	l := newLot(t)
	ways := []struct {
		name  string
		limit time.Duration
		leave func(s *Spot, peer net.Conn)
	}{
		{"input", 0, func(_ *Spot, peer net.Conn) { _, _ = peer.Write([]byte("x")) }},
		{"input that is not read", 0, func(*Spot, net.Conn) {}},
		{"time", time.Millisecond, func(*Spot, net.Conn) {}},
		{"somebody", time.Hour, func(s *Spot, _ net.Conn) { s.Wake() }},
		{"the peer's end", time.Hour, func(_ *Spot, peer net.Conn) { _ = peer.Close() }},
	}
	a, b := streamPair(t)
	for _, way := range ways {
		s, left := parked(t, l, a, way.limit)
		way.leave(s, b)
		<-left
		if n := l.Parked(); n != 0 {
			t.Errorf("%s: %d are still parked", way.name, n)
		}
		s.Wake() // too late, and once is enough
		if way.name == "input that is not read" {
			if n, err := a.Read(make([]byte, 10)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if len(left) != 0 {
			t.Errorf("%s: it has left twice", way.name)
		}
	}
}

// Who waits when the lot closes is told, and who comes later is sent away.
func TestLotCloses(t *testing.T) {
	l := newLot(t)
	a, _ := streamPair(t)
	_, left := parked(t, l, a, 0)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	<-left
	if _, err := l.Park(a, 0, func() { t.Error("it was not parked") }); err == nil {
		t.Fatal("a closed lot takes connections")
	}
	_ = a.Close()
	if _, err := newLot(t).Park(a, 0, func() {}); err == nil {
		t.Fatal("a closed connection is parked")
	}
}

// However input, time and wakes race, each parking ends once.
func TestLotLeavesOnce(t *testing.T) {
	l := newLot(t)
	var left atomic.Int64
	const conns, rounds = 8, 100
	done := make(chan struct{})
	for range conns {
		a, b := streamPair(t)
		go func() {
			for i := range rounds {
				over := make(chan struct{})
				s, err := l.Park(a, time.Duration(i%3)*100*time.Microsecond, func() {
					left.Add(1)
					close(over) // twice would panic
				})
				if err != nil {
					t.Error(err)
					break
				}
				go s.Wake()
				_, _ = b.Write([]byte("x"))
				<-over
				_, _ = a.Read(make([]byte, 1))
			}
			done <- struct{}{}
		}()
	}
	for range conns {
		<-done
	}
	if n := left.Load(); n != conns*rounds {
		t.Fatalf("%d have left, of %d", n, conns*rounds)
	}
}
