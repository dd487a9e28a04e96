package folders

import (
	"slices"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// Folder is one entry of `folders`.
type Folder struct {
	Name        string        `yaml:"name" max:"255" doc:"Name, with . between the levels."`
	SpecialUse  string        `yaml:"special_use" oneof:"|All|Archive|Drafts|Flagged|Junk|Sent|Trash|Important" doc:"What clients use it for (RFC 6154)."`
	Auto        string        `yaml:"auto" oneof:"no|create|subscribe" doc:"Whether it is made, and subscribed to, at the first login."`
	AutoExpunge conf.Duration `yaml:"autoexpunge" doc:"Messages that were saved in it longer ago are removed when a session of the user ends; 0: none."`
	MaxMessages int           `yaml:"autoexpunge_max_messages" min:"0" doc:"Of more messages than so many the oldest are removed then; 0: any number."`
}

// Preset is an entry before the file is read.
func (f *Folder) Preset() { *f = Folder{Auto: "no"} }

// Validate reports what cannot work.
func (f Folder) Validate(p *conf.Reporter) {
	if f.Name == "" {
		p.At("name").Errorf("a folder needs a name")
	}
}

func auto(s string) mailbox.Auto {
	switch s {
	case "create":
		return mailbox.AutoCreate
	case "subscribe":
		return mailbox.AutoSubscribe
	}
	return mailbox.AutoNo
}

// All are the configured folders, then those special folders (made as special
// says) whose name and use are not among them.
func All(list []Folder, special string) []mailbox.FolderConfig {
	var all []mailbox.FolderConfig
	for _, f := range list {
		use := f.SpecialUse
		if use != "" {
			use = `\` + use
		}
		all = append(all, mailbox.FolderConfig{Name: f.Name, SpecialUse: use, Auto: auto(f.Auto)})
	}
	own := len(all)
	for _, f := range mailbox.DefaultFolders(auto(special)) {
		taken := func(g mailbox.FolderConfig) bool { return g.Name == f.Name || g.SpecialUse == f.SpecialUse }
		if !slices.ContainsFunc(all[:own], taken) {
			all = append(all, f)
		}
	}
	return all
}
