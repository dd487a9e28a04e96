package digest

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/message"
)

// PreviewRunes is how many characters a preview has at most (RFC 8970 section
// 3.2 asks for no more than 256, and 200 is its advice).
const PreviewRunes = 200

// How much decoded text is looked at for a preview.
const (
	previewPlain = 4 << 10
	previewHTML  = 32 << 10
)

// Preview returns the beginning of what a reader would see of the message that
// src holds and root describes: the first text part that is no attachment,
// plain before HTML, white space collapsed, quoted lines left out unless there
// is nothing else. It is valid UTF-8 and may be empty.
func Preview(src io.ReaderAt, root *message.Part) string {
	plain, html := textParts(root)
	for _, p := range plain {
		if s := squeeze(plainText(read(src, p, previewPlain))); s != "" {
			return s
		}
	}
	for _, p := range html {
		if s := squeeze(htmlText(read(src, p, previewHTML))); s != "" {
			return s
		}
	}
	return ""
}

// textParts returns the first parts that may be shown, few of each kind.
func textParts(root *message.Part) (plain, html []*message.Part) {
	const few = 3
	for p := range root.Walk() {
		typ, sub := p.ContentType()
		if typ != "text" || p.IsMultipart() || strings.EqualFold(p.Disposition, "attachment") {
			continue
		}
		switch {
		case sub == "plain" && len(plain) < few:
			plain = append(plain, p)
		case sub == "html" && len(html) < few:
			html = append(html, p)
		}
	}
	return plain, html
}

// read returns the beginning of a part's text; after an error what there is.
func read(src io.ReaderAt, p *message.Part, most int64) string {
	r, ok := message.Text(src, p)
	if !ok {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(r, most))
	return strings.ToValidUTF8(string(text), "")
}

// plainText leaves out quoted lines, and a signature.
func plainText(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if strings.TrimRight(line, "\r\n") == "-- " {
			break
		}
		if !strings.HasPrefix(line, ">") {
			b.WriteString(line)
		}
	}
	if strings.TrimSpace(b.String()) == "" {
		return strings.ReplaceAll(s, ">", " ")
	}
	return b.String()
}

// squeeze makes runs of white space and of what is not printed one space, and
// cuts.
func squeeze(s string) string {
	out := make([]byte, 0, PreviewRunes)
	space, n := false, 0
	for _, r := range s {
		if unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == utf8.RuneError || r == '\u034f' || r == '\u00ad' {
			space = true
			continue
		}
		if space && n > 0 {
			if n++; n == PreviewRunes {
				break
			}
			out = append(out, ' ')
		}
		space = false
		out = utf8.AppendRune(out, r)
		if n++; n == PreviewRunes {
			break
		}
	}
	return string(out)
}
