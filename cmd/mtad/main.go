// Command mtad is Postcote's mail transfer agent.
package main

import (
	"os"

	"github.com/postcote/postcote/pkg/daemon/mtad"
	"github.com/postcote/postcote/pkg/daemon/service"
)

func main() { os.Exit(service.Main(mtad.App())) }
