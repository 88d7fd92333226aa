package trigger

import (
	"sync/atomic"
	"weak"

	"github.com/salvor-io/salvor/internal/blueprint"
)

// weakTexts makes the machinery of templates when it is needed and holds it weakly:
// ten thousand triggers would hold a gigabyte of it, of which few are in use.
type weakTexts struct {
	pointer atomic.Pointer[weak.Pointer[blueprint.Texts]]
}

func (w *weakTexts) get() *blueprint.Texts {
	if p := w.pointer.Load(); p != nil {
		if texts := p.Value(); texts != nil {
			return texts
		}
	}
	texts := blueprint.NewTexts()
	p := weak.Make(texts)
	w.pointer.Store(&p)
	return texts
}
