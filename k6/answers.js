// Whether an answer is JSON as loadgen means it (docs/prng.md, "Numbers"): what the two engines
// would read differently, or one of them not at all, is JSON for neither.
//
// JavaScript's parser is more lenient, so its result is looked at again: first with native searches
// of the text, which cost little, and only where these find something, value by value.

/** Levels that arrays and objects may be nested. */
const LEVELS = 127;

/** Bytes of an answer that captures are read from; a longer one is a failure. */
export const CAPTURED_BODY = 16 * 1024 * 1024;

/** Length of a text in UTF-8, by native functions: a loop takes seconds for a long one. */
export function utf8Length(text) {
  const encoded = encodeURIComponent(text);
  // What is escaped takes three characters a byte.
  return encoded.length - 2 * (encoded.split('%').length - 1);
}

/**
 * The JSON value of an answer's body, or `undefined` where it is not JSON, or too long.
 *
 * @param {string} text the body, as k6 decoded it.
 * @param {number} bytes length of the body that the answer announced; NaN where it did not.
 */
export function parseAnswer(text, bytes) {
  if (text.length > CAPTURED_BODY) return undefined;
  if (text.length > CAPTURED_BODY / 3 && utf8Length(text) > CAPTURED_BODY) return undefined;
  // k6 puts U+FFFD for each byte that is not UTF-8. Where it is really meant, lengths agree.
  if (text.indexOf('\ufffd') >= 0 && bytes >= 0 && utf8Length(text) !== bytes) return undefined;
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (text.indexOf('\\u') >= 0 && hasLoneSurrogate(text)) return undefined;
  if (needsALook(text) && !isPlain(value, 0)) return undefined;
  return value;
}

/** Whether a JSON text escapes half of a surrogate pair. */
function hasLoneSurrogate(text) {
  const PAIRS_AND_OTHERS = /\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u]/g;
  return /\\u[dD][89a-fA-F]/.test(text.replace(PAIRS_AND_OTHERS, ' '));
}

const DIGIT_AND_E = Array.from({ length: 20 }, (_, i) => (i >> 1) + 'eE'[i & 1]);

/** Whether a JSON text may hold a number beyond all doubles, or may be nested too deeply. */
function needsALook(text) {
  for (let i = 0; i < DIGIT_AND_E.length; i++) {
    if (text.indexOf(DIGIT_AND_E[i]) >= 0) return true;
  }
  if (text.length <= 2 * LEVELS) return false;
  // Without an exponent it takes 309 digits in a row, which cover one of these places and the two
  // after it.
  for (let i = 0; i < text.length; i += 300) {
    if (isDigit(text, i) && isDigit(text, i + 4) && isDigit(text, i + 8)) return true;
  }
  return text.split('[').length + text.split('{').length - 2 > LEVELS;
}

function isDigit(text, at) {
  const unit = text.charCodeAt(at);
  return unit >= 0x30 && unit <= 0x39;
}

/** Whether a value holds finite numbers only and is not nested too deeply. */
function isPlain(value, level) {
  if (typeof value === 'number') return Number.isFinite(value);
  if (value === null || typeof value !== 'object') return true;
  if (level === LEVELS) return false;
  const inner = Array.isArray(value) ? value : Object.values(value);
  for (let i = 0; i < inner.length; i++) {
    if (!isPlain(inner[i], level + 1)) return false;
  }
  return true;
}
