// Command layers holds the code to the plan in docs/architecture.md: which
// package may import which, and what each binary may not link. It also
// enforces the size limits of the same page (with -sizes).
//
// Reading order: main.go (flags, report), table.go (the page's tables),
// imports.go (the import rule), links.go (the link rule), sizes.go (sizes).
package main
