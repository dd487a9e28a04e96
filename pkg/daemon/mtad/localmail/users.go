package localmail

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Anyone in a list of users stands for all.
const Anyone = "anyone"

// Listed reports whether a list has the user of a uid: the first entry that
// fits decides, and "!" before it turns the answer around. Root and the
// daemon's own user are in every list.
func Listed(list []string, uid int) bool {
	if uid == 0 || uid == os.Getuid() {
		return true
	}
	name := Name(uid)
	for _, entry := range list {
		entry, not := strings.CutPrefix(entry, "!")
		if entry == Anyone || entry == name || entry == strconv.Itoa(uid) {
			return !not
		}
	}
	return false
}

// Name is the login name of a uid, or its number if it has none.
func Name(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return strconv.Itoa(uid)
	}
	return u.Username
}
