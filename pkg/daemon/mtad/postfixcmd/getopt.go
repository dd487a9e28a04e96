package postfixcmd

import "strings"

// option is one option of a command line.
type option struct {
	letter byte
	value  string
}

// getopt reads options as getopt(3) does in POSIX mode: letters may be joined
// ("-ti"), a value may follow its letter at once ("-fjoe") or be the next
// argument, and the first argument that is no option ends them. spec has the
// letters, those with a value followed by a colon. bad is the letter that is
// unknown or lacks its value, 0 for none.
func getopt(args []string, spec string) (opts []option, rest []string, bad byte) {
	for len(args) > 0 {
		a := args[0]
		if a == "--" {
			return opts, args[1:], 0
		}
		if len(a) < 2 || a[0] != '-' {
			break
		}
		args = args[1:]
		for i := 1; i < len(a); i++ {
			at := strings.IndexByte(spec, a[i])
			switch {
			case a[i] == ':' || at < 0:
				return opts, args, a[i]
			case at+1 == len(spec) || spec[at+1] != ':':
				opts = append(opts, option{letter: a[i]})
				continue
			case i+1 < len(a):
				opts = append(opts, option{a[i], a[i+1:]})
			case len(args) == 0:
				return opts, args, a[i]
			default:
				opts = append(opts, option{a[i], args[0]})
				args = args[1:]
			}
			break
		}
	}
	return opts, args, 0
}
