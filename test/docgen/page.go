package main

import (
	"fmt"
	"strings"
)

// page is one manual page.
type page struct {
	name    string // "mtad" or "mtad.yaml"
	section int
	short   string
	blocks  []block
}

func (p page) file() string { return fmt.Sprintf("%s.%d", p.name, p.section) }

// block is a heading, a paragraph, an item of a list of terms, or literal
// text; the other fields are empty.
type block struct {
	heading string
	text    string
	term    string // with text below it
	depth   int    // of an item
	code    string
}

func (p *page) heading(text string)    { p.blocks = append(p.blocks, block{heading: text}) }
func (p *page) para(text string)       { p.blocks = append(p.blocks, block{text: unwrap(text)}) }
func (p *page) code(text string)       { p.blocks = append(p.blocks, block{code: text}) }
func (p *page) item(term, text string) { p.nested(0, term, text) }
func (p *page) nested(depth int, term, text string) {
	p.blocks = append(p.blocks, block{term: term, text: unwrap(text), depth: depth})
}

// unwrap makes one line of text that was wrapped in the source.
func unwrap(text string) string { return strings.Join(strings.Fields(text), " ") }

// sentence begins with a capital letter and ends with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}
