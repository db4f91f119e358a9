// The headers that every request carries: the four `x-anomaly-*` labels, `baggage` with these and
// the run's id, and `traceparent`, and the ids in it. As in crates/engine/src/headers.rs.

import { headerValue } from './templates.js';

/** Version of this module, and of the loadgen that it belongs to. */
export const VERSION = '0.1.0';

// Found once: k6 makes a function of its own anew whenever it is looked up.
const { randomUUID } = crypto;

/** What a baggage value may not hold (W3C Baggage, baggage-octet). */
const NOT_IN_BAGGAGE = /[\u0000-\u0020",;\\%\u007f]|[^\u0000-\u007f]+/g;

/** A text as a value of `baggage`. */
export function baggageValue(text) {
  return text.replace(NOT_IN_BAGGAGE, encodeURIComponent);
}

/**
 * The `baggage` of a scenario's requests.
 *
 * @param anomaly `{type, label, root_cause, msg}`, as a plan has it.
 * @param {string} runId the run's id, by which its traces are told from those of others.
 */
export function baggage({ type, label, root_cause, msg }, runId) {
  const members = [
    ['anomaly.type', type],
    ['anomaly.root_cause', root_cause],
    ['anomaly.label', label],
    ['anomaly.msg', msg],
    ['loadgen.run_id', runId],
  ];
  return headerValue(members.map(([key, value]) => `${key}=${baggageValue(value)}`).join(','));
}

/** The labels of an anomaly, and whose run it is, as headers, names in lower case. */
export function labelHeaders(anomaly, runId) {
  return {
    'x-anomaly-type': headerValue(anomaly.type),
    'x-anomaly-root-cause': headerValue(anomaly.root_cause),
    'x-anomaly-label': headerValue(anomaly.label),
    'x-anomaly-msg': headerValue(anomaly.msg),
    baggage: baggage(anomaly, runId),
  };
}

/**
 * The headers of a replayed scenario that are the same for all its requests. The Rust engine's
 * client sends `accept` by itself.
 */
export function scenarioHeaders(anomaly, runId) {
  return { 'user-agent': `loadgen/${VERSION}`, accept: '*/*', ...labelHeaders(anomaly, runId) };
}

/** Digits 9 to 16 of this VU's trace ids: to cut them out of each UUID costs as much as to make it. */
const VU_DIGITS = (() => {
  const uuid = randomUUID();
  return uuid.slice(9, 13) + uuid.slice(14, 18);
})();

/**
 * A new trace id, 32 hexadecimal digits: a version-4 UUID, the cheapest good randomness in k6. Its
 * thirteenth digit is always 4 and its seventeenth 8 to b, so it is never all zeros; digits 9 to 16
 * are the VU's; the last 14 digits, which consistent sampling goes by, are all random.
 */
export function newTraceId() {
  const uuid = randomUUID();
  return uuid.slice(0, 8) + VU_DIGITS + uuid.slice(19, 23) + uuid.slice(24);
}

/** The id of the client span that begins a trace. */
export function spanIdOf(traceId) {
  return traceId.slice(16);
}

/** A version-00 `traceparent` with the sampled flag. */
export function traceparent(traceId, spanId) {
  return `00-${traceId}-${spanId}-01`;
}
