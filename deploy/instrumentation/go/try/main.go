// A small service: it asks the next one if there is one.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"example.invalid/instrumentation"
)

// What carries trace and baggage on is the transport, and the request's context.
var client = http.Client{Transport: otelhttp.NewTransport(nil)}

func answer(w http.ResponseWriter, r *http.Request) {
	answer := map[string]any{"service": "go", "next": nil}
	if next := os.Getenv("NEXT"); next != "" {
		request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, next, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		asked, err := client.Do(request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer asked.Body.Close()
		var said any
		if err := json.NewDecoder(asked.Body).Decode(&said); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		answer["next"] = said
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

func main() {
	ended, end := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer end()
	stop, err := instrumentation.Start(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", answer)
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: instrumentation.Handler(mux)}
	go func() {
		<-ended.Done()
		server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	if err := stop(context.Background()); err != nil {
		log.Print(err)
	}
}
