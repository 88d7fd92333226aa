package blueprint

// Values are the template values of one phase. (Being written.)
type Values struct{}
