// Package instrumentation is OpenTelemetry for a Go service, with anomaly headers and baggage on its
// spans. Go has no agent: a service calls Start, wraps its handler in Handler, and sends its requests
// by otelhttp.NewTransport. Copy this file, or what of it is missing in a service.
package instrumentation

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/contrib/processors/baggagecopy"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Start sets up traces and metrics by OTLP/HTTP, as the OTEL_* variables say. The answer sends what
// is left and ends both; call it before the program ends.
func Start(ctx context.Context) (stop func(context.Context) error, err error) {
	// The last one wins: WithService has a service.instance.id, but also a name of its own making.
	of, err := resource.New(ctx, resource.WithService(), resource.WithHost(),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	spans, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	points, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return nil, err
	}
	tracer := sdktrace.NewTracerProvider(
		sdktrace.WithResource(of),
		sdktrace.WithSpanProcessor(baggagecopy.NewSpanProcessor(isLabel)),
		sdktrace.WithBatcher(spans),
	)
	meter := metric.NewMeterProvider(
		metric.WithResource(of),
		metric.WithReader(metric.NewPeriodicReader(points)),
	)
	otel.SetTracerProvider(tracer)
	otel.SetMeterProvider(meter)
	// Go passes nothing on unless told to.
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(
		propagation.TraceContext{}, propagation.Baggage{}))
	if err := runtime.Start(runtime.WithMinimumReadMemStatsInterval(time.Second)); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		return errors.Join(tracer.Shutdown(ctx), meter.Shutdown(ctx))
	}, nil
}

// isLabel keeps other baggage off the spans: it may be somebody's secret.
func isLabel(member baggage.Member) bool {
	return strings.HasPrefix(member.Key(), "anomaly.") || member.Key() == "loadgen.run_id"
}

// Handler is otelhttp's, and the anomaly headers become attributes of its span.
func Handler(next http.Handler) http.Handler {
	captured := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		span := trace.SpanFromContext(r.Context())
		for name, values := range r.Header {
			if name := strings.ToLower(name); strings.HasPrefix(name, "x-anomaly-") {
				span.SetAttributes(attribute.StringSlice("http.request.header."+name, values))
			}
		}
		next.ServeHTTP(w, r)
	})
	return otelhttp.NewHandler(captured, "request",
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
			if r.Pattern != "" {
				return r.Pattern
			}
			return r.Method
		}))
}
