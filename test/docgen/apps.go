package main

import (
	"fmt"

	"github.com/postcote/postcote/pkg/daemon/authd"
	"github.com/postcote/postcote/pkg/daemon/deliverd"
	"github.com/postcote/postcote/pkg/daemon/imapd"
	"github.com/postcote/postcote/pkg/daemon/mtad"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// apps are the daemons, in the order of the manual.
func apps() []service.App {
	return []service.App{mtad.App(), deliverd.App(), imapd.App(), authd.App()}
}

// generate makes all files, by their name below docs.
func generate(apps []service.App) (map[string][]byte, error) {
	files := map[string][]byte{}
	add := func(p page) {
		files["man/"+p.file()] = p.roff()
		files["man/"+p.file()+".md"] = p.markdown()
	}
	for _, app := range apps {
		add(commandPage(app))
		for _, role := range app.AllRoles() {
			if err := conf.CheckDocs(role.Config()); err != nil {
				return nil, fmt.Errorf("%s: %w", role.Name, err)
			}
			add(configPage(app, role))
			text, err := reference(app, role)
			if err != nil {
				return nil, err
			}
			files["config/"+role.Name+".md"] = text
		}
	}
	return files, nil
}
