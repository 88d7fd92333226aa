// Package nearest finds the name that somebody who mistyped one most likely meant.
package nearest

import "strings"

// Name returns the name among names that is most likely meant, or "".
func Name(name string, names []string) string {
	best, near := 3, ""
	for _, other := range names {
		d := distance(strings.ToLower(name), strings.ToLower(other))
		if d < best && d*2 < max(len(name), 2) {
			best, near = d, other
		}
	}
	return near
}

// distance counts the letters to add, drop or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
