// Package docs makes the pages of docs/ that say what the code says: functions.md
// from the catalogue of functions, templates.md from the registry of template fields,
// and compatibility.md from the rows that the parts of the tree hand in.
//
// What a table can hold (names, types, defaults, outputs) comes from the code, so it
// cannot be wrong. What it cannot hold is prose, kept beside: docs/src/functions has a
// file for each function, docs/src/templates the parts between the tables, and
// docs/src/compatibility a file for each table of differences. A file that is put
// there is in the page after the next "make generate"; "make verify" fails while it is
// not, and this package's tests fail for a function, a field or a flag that has no
// words.
package docs
