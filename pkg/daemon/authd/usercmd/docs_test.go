package usercmd

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page's examples are a session, which happens here as the page says. "…"
// stands for any text of a line; standard error comes after standard output.
func TestExamplesOfTheManual(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/authd/local.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	t.Chdir(w.dir)
	w.write("users", "alice@example.org:{PLAIN}x\ncarol@example.org:{PLAIN}x:1000:1001::/home/carol::userdb_mail=mbox:~/m\ndave@example.org:!{PLAIN}x\n")
	examples := 0
	for i, block := range strings.Split(string(page), "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, example := range strings.Split("\n"+block, "\n$ ")[1:] {
			command, want, _ := strings.Cut(example, "\n")
			got := w.shell(command)
			if !matches(want, got) {
				t.Errorf("block %d: $ %s\n%s\nbut the page says\n%s", i+1, command, got, want)
			}
			examples++
		}
	}
	if examples < 25 {
		t.Errorf("only %d examples", examples)
	}
}

func matches(want, got string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(want, "\n")), "…", ".+")
	return regexp.MustCompile("^" + quoted + "$").MatchString(strings.TrimRight(got, "\n"))
}

// shell runs "authd …" or "echo TEXT | authd …".
func (w *world) shell(command string) string {
	w.t.Helper()
	stdin := ""
	if echo, rest, ok := strings.Cut(command, " | "); ok {
		stdin, command = strings.TrimPrefix(echo, "echo ")+"\n", rest
	}
	words := strings.Fields(command)
	if words[0] != "authd" {
		w.t.Fatalf("%s: not a command of authd", command)
	}
	out, errs, err := w.run(stdin, words[1:]...)
	if err != nil {
		errs += "authd: " + err.Error() + "\n"
	}
	return out + errs
}
