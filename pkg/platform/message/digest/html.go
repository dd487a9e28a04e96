package digest

import (
	"html"
	"strings"
)

// htmlText returns the text of HTML without tags, comments, head, style and
// script. It is for a preview only: no browser would agree in every case.
func htmlText(s string) string {
	var b strings.Builder
	for s != "" {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:open])
		s = s[open:]
		if strings.HasPrefix(s, "<!--") {
			s = behind(s, "-->")
			continue
		}
		name := tagName(s)
		s = behind(s, ">")
		switch name {
		case "head", "style", "script", "title":
			s = behindTag(s, name)
		}
		if !inline(name) {
			b.WriteByte(' ')
		}
	}
	return html.UnescapeString(b.String())
}

// behind returns what follows the first end in s, nothing when there is none.
func behind(s, end string) string {
	if i := strings.Index(s, end); i >= 0 {
		return s[i+len(end):]
	}
	return ""
}

// behindTag returns what follows "</name>", whatever its case.
func behindTag(s, name string) string {
	for s != "" {
		s = behind(s, "</")
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
			return behind(s, ">")
		}
	}
	return ""
}

// tagName is the name in the tag that s begins with, in lower case, with the
// slash of an end tag left out.
func tagName(s string) string {
	s = strings.TrimPrefix(s[1:], "/")
	n := 0
	for n < len(s) && n < 16 && (s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' || s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return strings.ToLower(s[:n])
}

// inline reports whether words on both sides of a tag are one word.
func inline(name string) bool {
	switch name {
	case "a", "b", "i", "u", "em", "strong", "span", "font", "small", "big", "sub", "sup", "code", "wbr":
		return true
	}
	return false
}
