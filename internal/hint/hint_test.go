package hint

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestHintTravelsThroughWrapping(t *testing.T) {
	err := fmt.Errorf("outer: %w", Errorf("do this", "inner: %w", io.EOF))
	if got := Of(err); got != "do this" {
		t.Errorf("Of = %q", got)
	}
	if !errors.Is(err, io.EOF) || err.Error() != "outer: inner: EOF" {
		t.Errorf("err = %v", err)
	}
}

func TestWith(t *testing.T) {
	if With(nil, "x") != nil {
		t.Error("With(nil) is not nil")
	}
	if got := Of(With(Errorf("near", "e"), "far")); got != "near" {
		t.Errorf("the far remedy %q replaced the near one", got)
	}
	if got := Of(With(io.EOF, "far")); got != "far" {
		t.Errorf("Of = %q", got)
	}
	if got := Of(io.EOF); got != "" {
		t.Errorf("Of(EOF) = %q", got)
	}
}
