package tables

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// Paths are the files and sockets that tables are read from and asked through,
// as far as their names tell: what stands in a file that describes a database
// is tried by `table check`.
func Paths(names []string) []conf.PathUse {
	var list []conf.PathUse
	for _, name := range names {
		kind, rest, _ := strings.Cut(name, ":")
		kind = kind[strings.LastIndexByte(kind, ' ')+1:]
		use := conf.PathUse{Key: "table " + name, Path: rest, Use: conf.UseRead}
		switch {
		case kind == "socketmap":
			path, ok := strings.CutPrefix(rest, "unix:")
			if !ok {
				continue
			}
			if i := strings.LastIndexByte(path, ':'); i > 0 {
				path = path[:i]
			}
			use.Path, use.Use = path, conf.UseConnect
		case kind == "unix":
			use.Path = map[string]string{"passwd.byname": "/etc/passwd", "group.byname": "/etc/group"}[rest]
		case kind == "static" || kind == "fail" || kind == "randmap" || kind == "environ":
			continue // whose name may look like a path, and is none
		}
		if strings.HasPrefix(use.Path, "/") {
			list = append(list, use)
		}
	}
	return list
}
