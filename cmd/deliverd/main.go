// Command deliverd is Postcote's local delivery agent.
package main

import (
	"os"

	"github.com/postcote/postcote/pkg/daemon/deliverd"
	"github.com/postcote/postcote/pkg/daemon/service"
)

var version string // set by the linker

func main() {
	app := deliverd.App()
	app.Version = version
	os.Exit(service.Main(app))
}
