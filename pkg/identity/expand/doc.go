// Package expand fills variables into texts from the configuration: queries,
// filters, paths, default fields.
//
// Invariants: a template is parsed once, when the configuration is read, so a
// percent sign in a value is never a variable; values are escaped by the
// caller's function for the language they go into, or handed over apart from
// the text (Bind), and no modifier can turn that off; the length of a result
// is capped.
//
// Reading order: expand.go (Template), parse.go (grammar), modify.go.
package expand
