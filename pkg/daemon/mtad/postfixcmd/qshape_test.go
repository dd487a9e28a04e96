package postfixcmd

import (
	"bufio"
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/daemon/mtad/queuecmd"
	"github.com/postcote/postcote/pkg/mta/queue"
)

// shapedQueue is testdata/qshape.queue: the messages and their ages.
func shapedQueue(t *testing.T) (list []queuecmd.Listed, ages []int64) {
	t.Helper()
	text, err := os.ReadFile("testdata/qshape.queue")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if f[0] == "#" {
			continue
		}
		age, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		l := queuecmd.Listed{QueueName: f[0], Sender: strings.Trim(f[2], "<>")}
		if f[2] == "<>" {
			l.Sender, l.NullSender = "MAILER-DAEMON", true
		}
		for _, a := range f[3:] {
			l.Recipients = append(l.Recipients, queuecmd.ListedRecipient{Address: a, Status: queue.Deferred.String()})
		}
		l.Recipients = append(l.Recipients, queuecmd.ListedRecipient{Address: "done@example.org", Status: queue.Delivered.String()})
		list, ages = append(list, l), append(ages, age)
	}
	return list, ages
}

// What Postfix 3.7's qshape printed for a queue with these messages. It leaves
// the order of domains with as many recipients and as long names to chance.
func TestShapes(t *testing.T) {
	list, ages := shapedQueue(t)
	text, err := os.ReadFile("testdata/qshape.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(string(text), "$ qshape ")[1:]
	if len(cases) < 10 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		args, want, _ := strings.Cut(c, "\n")
		got := shapeOf(t, list, ages, strings.Fields(args), false)
		if !slices.Equal(sortedLines(got), sortedLines(want)) || !slices.Equal(orderOf(got), orderOf(want)) {
			t.Errorf("qshape %s:\n%swant:\n%s", args, got, want)
		}
	}
	if got := shapeOf(t, list, ages, []string{"-n", "3", "deferred"}, true); strings.Count(got, "\n") != 4 || !strings.Contains(got, "\n                           example.net  23") {
		t.Errorf("the first three on a terminal:\n%s", got)
	}
}

// shapeOf runs qshape on messages in place of those of a daemon.
func shapeOf(t *testing.T, list []queuecmd.Listed, ages []int64, args []string, terminal bool) string {
	t.Helper()
	var out bytes.Buffer
	opts, queues, bad := getopt(args, qshapeOptions)
	if bad != 0 {
		t.Fatalf("option %c", bad)
	}
	s := newShape(opts, terminal)
	if len(queues) == 0 {
		queues = []string{"incoming", "active"}
	}
	for i := range list {
		if slices.Contains(queues, list[i].QueueName) {
			s.add(&list[i], ages[i])
		}
	}
	w := bufio.NewWriter(&out)
	s.print(w)
	_ = w.Flush()
	return out.String()
}

func sortedLines(s string) []string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	slices.Sort(lines)
	return lines
}

// orderOf is what decides about the order of the lines.
func orderOf(table string) (keys []string) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		keys = append(keys, strconv.Itoa(len(f[0]))+" "+f[1])
	}
	return keys
}
