// Why a request counts as failed, in the ledger's words (docs/timeline-format.md), from what k6
// says of it.

// At the end of a scenario k6 breaks off a request as if it had timed out. How long before its limit
// that must be to tell the two apart, in milliseconds.
const EARLY_MS = 5;

/**
 * The failure of a request that brought no answer.
 *
 * @param {number} code k6's `error_code`.
 * @param {string} text k6's `error`.
 * @param {number} elapsedMs since the request was handed over.
 * @param {number} timeoutMs its limit.
 */
export function transportFailure(code, text, elapsedMs, timeoutMs) {
  if (code === 1050) return elapsedMs < timeoutMs - EARLY_MS ? 'interrupted' : 'timeout';
  // k6 was told to stop.
  if (text.includes('context canceled')) return 'interrupted';
  // A URL that k6 can't parse.
  if (code === 1020) return 'request';
  // DNS; dialling; TLS.
  if (code >= 1100 && code < 1120) return 'connect';
  if (code >= 1210 && code < 1220) return 'connect';
  if (code >= 1300 && code < 1400) return 'connect';
  return 'io';
}

/** The failure of a request that k6 threw instead of answering (`throw: true`), without a code. */
export function thrownFailure(text, elapsedMs, timeoutMs) {
  let code = 1000;
  if (text.includes('request timeout')) code = 1050;
  else if (/\b(dial|lookup|tls|x509)\b/.test(text)) code = 1210;
  else if (/invalid URL|unsupported protocol/.test(text)) code = 1020;
  return transportFailure(code, text, elapsedMs, timeoutMs);
}
