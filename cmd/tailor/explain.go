package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/tap"
)

// explain splits an error that carries its remedy in a field into message and
// remedy, which are printed on lines of their own.
func explain(err error) error {
	var dev *tap.Error
	if errors.As(err, &dev) && dev.Hint != "" {
		bare := *dev
		bare.Hint = ""
		return hint.With(&bare, dev.Hint)
	}
	return err
}

var errInterrupted = errors.New("interrupted, nothing was left behind")

// untilInterrupt returns a context that ends with errInterrupted at the first
// SIGINT, SIGTERM or SIGHUP; a second one has its usual effect.
func untilInterrupt(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case <-ch:
			signal.Stop(ch)
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(ch)
		cancel(nil)
	}
}
