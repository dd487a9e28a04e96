// Command mtad is Postcote's mail transfer agent.
package main

import (
	"os"

	"github.com/postcote/postcote/pkg/daemon/mtad"
	"github.com/postcote/postcote/pkg/daemon/service"
)

func main() {
	if code, ok := mtad.Tool(os.Args); ok { // called as sendmail, mailq, ...
		os.Exit(code)
	}
	os.Exit(service.Main(mtad.App()))
}
