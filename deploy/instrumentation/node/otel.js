// OpenTelemetry for a Node service: `node --require ./otel.js server.js`, or NODE_OPTIONS. Where the
// telemetry goes is said by OTEL_* variables. Node has no variable for captured headers and none for
// baggage; that, and less noise, is what this file is for.
'use strict';

const { getNodeAutoInstrumentations } = require('@opentelemetry/auto-instrumentations-node');
const { BaggageSpanProcessor } = require('@opentelemetry/baggage-span-processor');
const { NodeSDK, tracing } = require('@opentelemetry/sdk-node');

const HEADERS = ['x-anomaly-type', 'x-anomaly-label', 'x-anomaly-root-cause', 'x-anomaly-msg'];

// Other baggage may be somebody's secret.
const isLabel = (key) => key.startsWith('anomaly.') || key === 'loadgen.run_id';

// A driver of MongoDB before 4.0 asks its server every 10 s how it is, for ever, in the trace of the
// request that opened the connection.
const isHeartbeat = ({ attributes }) =>
  /^(isMaster|hello)$/i.test(attributes['db.operation.name'] ?? attributes['db.operation'] ?? '');

class WithoutHeartbeats extends tracing.BatchSpanProcessor {
  onEnd(span) {
    if (!isHeartbeat(span)) super.onEnd(span);
  }
}

const instrumentations = getNodeAutoInstrumentations({
  '@opentelemetry/instrumentation-http': {
    headersToSpanAttributes: { server: { requestHeaders: HEADERS } },
  },
  // A span for each middleware says nothing that the server's span does not; that one still gets its
  // http.route from here.
  '@opentelemetry/instrumentation-express': {
    ignoreLayersType: ['middleware', 'request_handler', 'router'],
  },
  // The same layers, once more.
  '@opentelemetry/instrumentation-router': { enabled: false },
  '@opentelemetry/instrumentation-connect': { enabled: false },
  // Of each socket and each name: what the client's span already covers.
  '@opentelemetry/instrumentation-net': { enabled: false },
  '@opentelemetry/instrumentation-dns': { enabled: false },
});

const EXPORTERS = { 'http/protobuf': 'proto', 'http/json': 'http', grpc: 'grpc' };
const protocol =
  process.env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || process.env.OTEL_EXPORTER_OTLP_PROTOCOL;
const kind = EXPORTERS[protocol || 'http/protobuf'];
if (!kind) throw new Error(`OTEL_EXPORTER_OTLP_PROTOCOL is ${protocol}: ${Object.keys(EXPORTERS)}?`);
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${kind}`);

const sdk = new NodeSDK({
  instrumentations,
  spanProcessors: [
    new BaggageSpanProcessor(isLabel),
    new WithoutHeartbeats(new OTLPTraceExporter()),
  ],
});
sdk.start();

// What is not sent yet is sent before the end. Whoever listens for SIGTERM keeps Node from ending by
// itself, so a service without a listener of its own is ended here, as it would have been.
process.once('SIGTERM', async () => {
  await sdk.shutdown().catch((error) => console.error('OpenTelemetry:', error));
  if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM');
});
process.once('beforeExit', () => sdk.shutdown().catch(() => {}));
