// Command imapd is Postcote's IMAP and POP3 server.
package main

import (
	"os"

	"github.com/postcote/postcote/pkg/daemon/imapd"
	"github.com/postcote/postcote/pkg/daemon/service"
)

var version string // set by the linker

func main() {
	app := imapd.App()
	app.Version = version
	os.Exit(service.Main(app))
}
