package conf

import (
	"io"
	"reflect"
	"strings"
)

// WriteDefaults prints the documented YAML of the value cfg (a struct or a
// pointer to one): each key with its doc as a comment above it. Load turns it
// back into the same value.
func WriteDefaults(w io.Writer, cfg any) error {
	v := reflect.Indirect(reflect.ValueOf(cfg))
	if err := checkSchema(v.Type()); err != nil {
		return err
	}
	p := &printer{}
	p.section(v, "")
	_, err := io.WriteString(w, p.String())
	return err
}

// printer writes block style with comments.
type printer struct{ strings.Builder }

func (p *printer) line(indent, text string) { p.WriteString(indent + text + "\n") }

func (p *printer) section(v reflect.Value, indent string) {
	for i, f := range fieldsOf(v.Type()) {
		if i > 0 {
			p.WriteString("\n")
		}
		fv := v.FieldByIndex(f.index)
		p.comment(f, fv, indent)
		p.entry(f.key+":", fv, indent, true)
	}
}

// entry writes one value behind "key:" or "-". Sections inside of lists and
// maps go without comments: their keys would be explained again and again.
func (p *printer) entry(head string, v reflect.Value, indent string, documented bool) {
	if s, ok := scalar(v); ok {
		p.line(indent, head+" "+s)
		return
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Slice:
		p.line(indent, head)
		for i := range v.Len() {
			p.item(v.Index(i), indent+"  ")
		}
	case reflect.Map:
		p.line(indent, head)
		for _, k := range sortedKeys(v) {
			p.entry(quoteFlow(k.String())+":", v.MapIndex(k), indent+"  ", false)
		}
	case reflect.Struct:
		switch fields := fieldsOf(v.Type()); {
		case len(fields) == 0:
			p.line(indent, head+" {}")
		case documented && !isText(v.Type()):
			p.line(indent, head)
			p.section(v, indent+"  ")
		default:
			p.line(indent, head)
			for _, f := range fields {
				p.entry(f.key+":", v.FieldByIndex(f.index), indent+"  ", false)
			}
		}
	}
}

// item writes one entry of a list, its first line behind the dash.
func (p *printer) item(v reflect.Value, indent string) {
	if s, ok := scalar(v); ok {
		p.line(indent, "- "+s)
		return
	}
	inner := &printer{}
	inner.entry("", v, indent, false)
	_, body, _ := strings.Cut(inner.String(), "\n") // the empty head
	p.WriteString(indent + "- " + strings.TrimPrefix(body, indent+"  "))
}

// comment explains a key above it.
func (p *printer) comment(f field, v reflect.Value, indent string) {
	text := f.doc
	if f.allowed != nil {
		text += " One of: " + strings.Join(quoteAll(f.allowed), ", ") + "."
	}
	if f.limit != (bounds{}) {
		hint := f.limit.hint()
		text += " A" + hint[1:] + "."
	}
	for _, line := range wrap(text, 76-len(indent)) {
		p.line(indent, "# "+line)
	}
	if f.example != "" && emptyForm(v) {
		head, lines := f.key+":", strings.Split(f.example, "\n")
		if len(lines) == 1 {
			p.line(indent, "# Example: "+head+" "+f.example)
			return
		}
		p.line(indent, "# Example:")
		p.line(indent, "#   "+head)
		for _, line := range lines {
			p.line(indent, "#     "+line)
		}
	}
}

func quoteAll(list []string) []string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote(s)
	}
	return quoted
}

// emptyForm reports a default that shows nothing of how a value looks.
func emptyForm(v reflect.Value) bool {
	return v.IsZero() || ((v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0)
}
