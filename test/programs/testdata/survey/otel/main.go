// Command otel traces with go.opentelemetry.io/otel.
package main

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	exporter, err := stdouttrace.New()
	if err != nil {
		panic(err)
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter))
	otel.SetTracerProvider(provider)
	_, span := otel.Tracer("survey").Start(context.Background(), "a span")
	span.End()
	if err := provider.Shutdown(context.Background()); err != nil {
		panic(err)
	}
}
