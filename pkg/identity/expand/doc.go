// Package expand fills variables into texts from the configuration: queries,
// filters, paths, default fields. It reads both of Dovecot's grammars:
//
//	%u  %Ln  %1.2n  %2.256Nu  %{user}  %L{user}       2.3: letters, modifiers
//	%{sha256;rounds=2,salt=x:user}  %{if;%d;eq;a;b;c}  2.3: hashes, conditions
//	%{user | domain | lower}  %{user | md5 % 256 | hex(2)}   2.4: filters
//
// Invariants: a template is parsed once, when the configuration is read, so a
// percent sign in a value is never a variable, and whatever is wrong with
// filters, their number of arguments and their patterns is found then; values
// are escaped by the caller's function for the language they go into, or handed
// over apart from the text (Bind), and no modifier can turn that off; a
// template's size and depth, the work it may ask for and the length of every
// result are capped.
//
// Reading order: expand.go (Template), parse.go (text and letters), short.go
// (2.3's modifiers), braces.go (what stands in %{}), cond.go, pipeline.go
// (2.4's grammar), filters.go and text.go (its filters), hash.go.
package expand
