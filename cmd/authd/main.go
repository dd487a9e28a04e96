// Command authd is Postcote's authentication daemon.
package main

import (
	"os"

	"github.com/postcote/postcote/pkg/daemon/authd"
	"github.com/postcote/postcote/pkg/daemon/service"
)

var version string // set by the linker

func main() {
	app := authd.App()
	app.Version = version
	os.Exit(service.Main(app))
}
