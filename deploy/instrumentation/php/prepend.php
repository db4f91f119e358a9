<?php

// NOT RUN. A span for each request of a PHP service, without OpenTelemetry's extension and without a
// change of the service: php.ini's `auto_prepend_file`, with `composer install` beside this file.
// The SDK reads OTEL_* variables when OTEL_PHP_AUTOLOAD_ENABLED is true. Calls to other services are
// no spans, and do not pass the context on, unless the service injects it.

use OpenTelemetry\API\Baggage\Baggage;
use OpenTelemetry\API\Globals;
use OpenTelemetry\API\Trace\SpanKind;
use OpenTelemetry\API\Trace\StatusCode;

require __DIR__ . '/vendor/autoload.php';

(function (): void {
    if (PHP_SAPI === 'cli') {
        return;
    }
    $headers = array_change_key_case(getallheaders());
    $parent = Globals::propagator()->extract($headers);
    $span = Globals::tracerProvider()->getTracer('loadgen')
        ->spanBuilder($_SERVER['REQUEST_METHOD'])
        ->setParent($parent)
        ->setSpanKind(SpanKind::KIND_SERVER)
        ->setAttribute('http.request.method', $_SERVER['REQUEST_METHOD'])
        ->setAttribute('url.path', strtok($_SERVER['REQUEST_URI'], '?'))
        ->startSpan();
    foreach ($headers as $name => $value) {
        if (str_starts_with($name, 'x-anomaly-')) {
            $span->setAttribute("http.request.header.$name", [$value]);
        }
    }
    foreach (Baggage::fromContext($parent)->getAll() as $key => $entry) {
        // Other baggage may be somebody's secret.
        if (str_starts_with($key, 'anomaly.') || $key === 'loadgen.run_id') {
            $span->setAttribute($key, $entry->getValue());
        }
    }
    $scope = $span->storeInContext($parent)->activate();
    register_shutdown_function(function () use ($span, $scope): void {
        $status = http_response_code();
        $span->setAttribute('http.response.status_code', $status);
        if ($status >= 500) {
            $span->setStatus(StatusCode::STATUS_ERROR);
        }
        $scope->detach();
        $span->end();
    });
})();
