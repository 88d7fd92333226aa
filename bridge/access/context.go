package access

import (
	"context"

	"github.com/salvor-io/salvor/api/event"
)

type contextKey struct{}

// WithSender returns a context that knows who sent the request.
func WithSender(ctx context.Context, sender *event.Sender) context.Context {
	return context.WithValue(ctx, contextKey{}, sender)
}

// SenderOf returns who sent the request; nil if it has no identity.
func SenderOf(ctx context.Context) *event.Sender {
	sender, _ := ctx.Value(contextKey{}).(*event.Sender)
	return sender
}
