package main

import (
	"fmt"
	"os"
	"strings"
)

// layer is one row of the layer table.
type layer struct {
	name      string
	below     map[string]bool
	leftwards bool
	order     []string // packages, left to right
}

// link is one row of the link table.
type link struct {
	binary string
	never  []string
}

type plan struct {
	layers map[string]*layer
	links  []link
}

func readPlan(page string) (*plan, error) {
	p := &plan{layers: map[string]*layer{}}
	rows, err := tableRows(page, "layers")
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if len(r) != 4 {
			return nil, fmt.Errorf("layer table: row %q needs four columns", r)
		}
		l := &layer{name: r[0], below: map[string]bool{}, leftwards: r[2] == "leftwards", order: strings.Fields(r[3])}
		for _, b := range strings.Fields(r[1]) {
			l.below[b] = true
		}
		p.layers[l.name] = l
	}
	if rows, err = tableRows(page, "links"); err != nil {
		return nil, err
	}
	for _, r := range rows {
		p.links = append(p.links, link{binary: r[0], never: strings.Fields(r[1])})
	}
	return p, nil
}

// tableRows returns the body cells of the markdown table between the comments
// <!-- name:begin --> and <!-- name:end -->.
func tableRows(page, name string) ([][]string, error) {
	_, rest, ok := strings.Cut(page, "<!-- "+name+":begin -->")
	body, _, ok2 := strings.Cut(rest, "<!-- "+name+":end -->")
	if !ok || !ok2 {
		return nil, fmt.Errorf("the page has no table %q", name)
	}
	var rows [][]string
	for _, line := range strings.Split(body, "\n") {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) < 2 {
		return nil, fmt.Errorf("table %q is empty", name)
	}
	return rows[1:], nil
}

func checkPage(path string) (links int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	p, err := readPlan(string(text))
	if err != nil {
		return 0, err
	}
	return len(p.links), nil
}
