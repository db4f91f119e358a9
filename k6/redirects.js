// Which redirects are followed, and to where. As in crates/engine/src/exchange.rs: k6's own following
// would carry the labels' headers to any host.

/** As many as k6 follows by itself. */
export const REDIRECTS = 10;

const ADDRESS = /^(https?:)\/\/(?:[^/?#]*@)?(\[[^\]]*\]|[^:/?#]*)(:\d+)?([^?#]*)(\?[^#]*)?/i;

/**
 * Headers of a step that also go to another scheme, host or port than the target's. Any other may be
 * a secret of the target.
 */
export const GO_ALONG = ['accept', 'accept-language', 'content-type', 'user-agent'];

/** Scheme, host and port of an address; undefined where it has none. */
export function originOf(address) {
  const found = ADDRESS.exec(address);
  if (found === null) return undefined;
  const scheme = found[1].toLowerCase();
  const port = found[3] || (scheme === 'http:' ? ':80' : ':443');
  return `${scheme}//${found[2].toLowerCase()}${port}`;
}

/** The host of an address, without its port; undefined where it has none. */
export function hostOf(address) {
  const found = ADDRESS.exec(address);
  return found === null ? undefined : found[2].toLowerCase();
}

/**
 * Where an answer sends on to.
 *
 * @param {number} status the answer's.
 * @param {string | undefined} location its header `Location`.
 * @param {string} address where the answer came from.
 * @returns {string | null} the address, or null where the answer is no redirect.
 */
export function redirectTo(status, location, address) {
  if (![301, 302, 303, 307, 308].includes(status)) return null;
  // One that is empty is none, as in Go.
  if (!location) return null;
  const found = ADDRESS.exec(address);
  if (found === null) return null;
  const origin = `${found[1]}//${found[2]}${found[3] || ''}`;
  const to = location.replace(/#.*$/, '');
  if (/^https?:\/\//i.test(to)) return to;
  if (/^[a-z][a-z0-9+.-]*:/i.test(to)) return null;
  if (to.startsWith('//')) return found[1] + to;
  if (to.startsWith('/')) return origin + withoutDots(to);
  const path = found[4] || '/';
  if (to.startsWith('?')) return origin + path + to;
  if (to === '') return origin + path + (found[5] || '');
  return origin + withoutDots(path.slice(0, path.lastIndexOf('/') + 1) + to);
}

/** A path with its segments `.` and `..` taken out (RFC 3986, section 5.2.4). */
function withoutDots(text) {
  const end = text.search(/\?/);
  const path = end < 0 ? text : text.slice(0, end);
  const segments = [];
  const all = path.split('/').slice(1);
  all.forEach((segment, i) => {
    const isLast = i === all.length - 1;
    if (segment === '..') segments.pop();
    else if (segment !== '.') segments.push(segment);
    if (isLast && (segment === '.' || segment === '..')) segments.push('');
  });
  return `/${segments.join('/')}${end < 0 ? '' : text.slice(end)}`;
}

/** Whether a redirect goes on as GET without a body. */
export function becomesGet(status) {
  return status < 307;
}
