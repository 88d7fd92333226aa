package output

// Held is how many bytes the parser keeps of the line being assembled.
func (p *Parser) Held() int { return len(p.line) }
