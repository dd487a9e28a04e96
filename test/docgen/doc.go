// Command docgen is `make docs`: it writes the manual pages and the reference
// of the configuration files from the daemons' commands and configuration
// structs, so that the documentation cannot say something else.
//
//	docs/man/<daemon>.8 and .8.md        commands, signals, exit codes
//	docs/man/<file>.yaml.5 and .5.md     keys of a configuration file
//	docs/config/<file>.md                the same as tables, with the default file
//
// With -check it writes nothing and fails when a file on disk differs from
// what it would write, is missing, or is one that it would not write.
//
// Reading order: main.go, apps.go (whose documentation), command.go (pages of
// section 8), config.go (pages of section 5), reference.go (the tables),
// page.go (a page as values), markdown.go and roff.go (its two renderings).
package main
