// Where requests go: the base URL, apart from its credentials. As in crates/engine/src/base_url.rs.

import encoding from 'k6/encoding';
import { encodeOwnText, hasDots } from './templates.js';

/**
 * Takes a base URL apart.
 *
 * @param {string} text such as `http://user:password@shop.example:8080/base`.
 * @returns `{url, authorization}`: the URL without credentials and without a slash at its end, and
 *   the `Authorization` header for the credentials (Basic, RFC 7617), or null.
 */
export function parseBaseUrl(text) {
  const found = /^(https?):\/\/(?:([^/?#]*)@)?([^/?#@]+)(\/[^?#]*)?$/i.exec(text);
  if (found === null) {
    throw new Error(`loadgen: ${hidden(text)} is not a base URL: write it like http://shop.example:8080`);
  }
  const scheme = found[1].toLowerCase();
  const defaultPort = scheme === 'http' ? /:(?:80)?$/ : /:(?:443)?$/;
  const host = found[3].toLowerCase().replace(defaultPort, '');
  const path = encodeOwnText((found[4] || '').replace(/\/+$/, ''), false);
  if (hasDots(path)) {
    throw new Error(`loadgen: the base URL's path ${path} has a segment . or ..: write where it leads to`);
  }
  return { url: `${scheme}://${host}${path}`, authorization: authorization(found[2]) };
}

function authorization(userInfo) {
  if (userInfo === undefined || userInfo === '' || userInfo === ':') return null;
  const colon = userInfo.indexOf(':');
  const user = colon < 0 ? userInfo : userInfo.slice(0, colon);
  const password = colon < 0 ? '' : userInfo.slice(colon + 1);
  return `Basic ${encoding.b64encode(`${decoded(user)}:${decoded(password)}`)}`;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A URL that may be shown: without what stands before its `@`. */
export function hidden(text) {
  return text.replace(/^([^/]*\/\/)?[^/]*@/, '$1');
}

/**
 * The base URL of a run: what the environment says, else the plan.
 *
 * @param {string | undefined} fromEnv the variable BASE_URL.
 * @param {object | string} target the plan's.
 */
export function baseUrl(fromEnv, target) {
  const text = fromEnv || (target && target.base_url);
  if (!text) {
    throw new Error(
      'loadgen: the plan is for the demo shop that loadgen starts itself; say where it should go ' +
        'instead: -e BASE_URL=http://shop.example:8080',
    );
  }
  return parseBaseUrl(text);
}
