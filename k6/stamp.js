// k6's `http` for somebody's own script: the same functions, but each request carries the labels of
// its scenario and is written to the event log. What the script gets back, or has thrown at it, is
// k6's.

import http from 'k6/http';
import { thrownFailure, transportFailure } from './failures.js';
import { newTraceId, spanIdOf, traceparent } from './headers.js';
import { durationNs } from './scriptplan.js';

/** k6's own limit where a request has none. */
const TIMEOUT_MS = 60000;
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;

/**
 * @param current gives the iteration that is running, `{vu, scenario, number, flow, labels, log, …}`,
 *   or null where there is none (setup and teardown): then requests go out as they are.
 * @param expected whether an answer counts as success.
 */
export function stampedHttp(current, expected) {
  const one = (method, url, body, params) => {
    const iteration = current();
    if (iteration === null) return http.request(method, url, body, params);
    const sent = begin(iteration, String(iteration.vu), method, url, params);
    let answer;
    try {
      answer = http.request(method, url, body, sent.params);
    } catch (error) {
      logThrown(iteration, sent, error);
      throw error;
    }
    logAnswer(iteration, sent, answer, Date.now() - sent.at);
    return answer;
  };

  const asyncRequest = (method, url, body, params) => {
    const iteration = current();
    if (iteration === null) return http.asyncRequest(method, url, body, params);
    const sent = begin(iteration, part(iteration), method, url, params);
    let promise;
    try {
      promise = http.asyncRequest(method, url, body, sent.params);
    } catch (error) {
      logThrown(iteration, sent, error);
      throw error;
    }
    iteration.pending += 1;
    return promise.then(
      (answer) => {
        logAnswer(iteration, sent, answer, Date.now() - sent.at);
        iteration.settled();
        return answer;
      },
      (error) => {
        logThrown(iteration, sent, error);
        iteration.settled();
        throw error;
      },
    );
  };

  const batch = (requests) => {
    const iteration = current();
    if (iteration === null || requests === null || typeof requests !== 'object') {
      return http.batch(requests);
    }
    const keys = Object.keys(requests);
    const sent = {};
    const stamped = Array.isArray(requests) ? [] : {};
    for (const key of keys) {
      const { method, url, body, params } = entry(requests[key]);
      sent[key] = begin(iteration, part(iteration), method, url, params);
      stamped[key] = { method, url, body, params: sent[key].params };
    }
    let answers;
    try {
      answers = http.batch(stamped);
    } catch (error) {
      for (const key of keys) logThrown(iteration, sent[key], error);
      throw error;
    }
    // All of them are over when the batch is: the clock says nothing of any one.
    for (const key of keys) logAnswer(iteration, sent[key], answers[key], NaN);
    return answers;
  };

  // What is not listed (url, CookieJar, expectedStatuses, …) is k6's.
  return Object.assign(Object.create(http), {
    request: one,
    get: (url, params) => one('GET', url, null, params),
    head: (url, params) => one('HEAD', url, null, params),
    post: (url, body, params) => one('POST', url, body, params),
    put: (url, body, params) => one('PUT', url, body, params),
    patch: (url, body, params) => one('PATCH', url, body, params),
    del: (url, body, params) => one('DELETE', url, body, params),
    options: (url, body, params) => one('OPTIONS', url, body, params),
    asyncRequest,
    batch,
  });

  function logAnswer(iteration, sent, answer, elapsedMs) {
    const status = answer.status;
    const { blocked, duration } = answer.timings;
    const timed = blocked + duration;
    if (status === 0) {
      const elapsed = elapsedMs >= 0 ? elapsedMs : timed;
      const failure = transportFailure(answer.error_code, answer.error, elapsed, sent.timeoutMs);
      if (failure === 'interrupted') iteration.interrupted = true;
      iteration.log.end(sent.key, elapsed, 0, failure, false);
      return;
    }
    // After a redirect the timings are those of the last leg.
    const whole = answer.url === sent.url || !(elapsedMs >= 0) ? timed : elapsedMs;
    iteration.log.end(sent.key, whole, status, expected(answer) ? '-' : 'status', false);
  }
}

/** Stamps a request and logs that it begins. */
function begin(iteration, key, method, url, params) {
  iteration.sent += 1;
  const headers = {};
  let given = null;
  let baggage = iteration.labels.baggage;
  const theirs = (params && params.headers) || {};
  for (const name of Object.keys(theirs)) {
    switch (name.toLowerCase()) {
      case 'traceparent':
        given = TRACEPARENT.exec(theirs[name]);
        break;
      case 'baggage':
        if (theirs[name]) baggage += `,${theirs[name]}`;
        break;
      case 'x-anomaly-type':
      case 'x-anomaly-label':
      case 'x-anomaly-root-cause':
      case 'x-anomaly-msg':
        break;
      default:
        headers[name] = theirs[name];
    }
  }
  Object.assign(headers, iteration.labels);
  const traceId = given === null ? newTraceId() : given[1];
  const spanId = given === null ? spanIdOf(traceId) : given[2];
  headers.traceparent = given === null ? traceparent(traceId, spanId) : given[0];
  headers.baggage = baggage;

  const address = addressOf(url);
  const path = pathOf(address);
  const at = Date.now();
  iteration.log.begin(
    key,
    iteration.scenario,
    iteration.number,
    iteration.flow,
    named(stepName(method, url, path, params)),
    traceId,
    spanId,
    at,
    path,
  );
  return { key, at, url: address, timeoutMs: timeoutMs(params), params: { ...params, headers } };
}

/** A key for a request that is not alone on its way. */
function part(iteration) {
  iteration.parts += 1;
  return `${iteration.vu}.${iteration.parts}`;
}

/** A request of a batch, in any of the forms that k6 takes. */
function entry(request) {
  if (Array.isArray(request)) {
    return { method: request[0], url: request[1], body: request[2], params: request[3] };
  }
  // `http.url` makes objects as well; they have no method.
  if (request !== null && typeof request === 'object' && request.clean_url === undefined) {
    const { method = 'GET', url, body, params } = request;
    return { method, url, body, params };
  }
  return { method: 'GET', url: request, body: null, params: undefined };
}

/** The text of an address, which may be what `http.url` made. */
function addressOf(url) {
  return url !== null && typeof url === 'object' && url.url !== undefined ? url.url : String(url);
}

const NOT_IN_A_LINE = /[^!-~]+/g;

/** Path and query of an address, without blanks. */
export function pathOf(address) {
  const path = address.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').replace(/#[^]*$/, '');
  const whole = path[0] === '/' ? path : `/${path}`;
  return whole.replace(NOT_IN_A_LINE, encodeURIComponent);
}

/** What a request is called: its tag `name`, the name of `http.url`, or method and path. */
function stepName(method, url, path, params) {
  const tags = params && params.tags;
  if (tags && tags.name) return tags.name;
  const name = url !== null && typeof url === 'object' && url.name !== undefined ? url.name : null;
  return name === null ? `${method} ${path.split('?')[0]}` : name;
}

/** A name in a line of the log. */
export function named(name) {
  return `=${encodeURIComponent(name)}`;
}

function timeoutMs(params) {
  if (!params || params.timeout === undefined || params.timeout === null) return TIMEOUT_MS;
  try {
    return durationNs(params.timeout, 'timeout') / 1e6;
  } catch {
    // k6 will say so itself.
    return TIMEOUT_MS;
  }
}

/** A request that k6 threw instead of answering, as it does with `throw: true`. */
function logThrown(iteration, sent, error) {
  const elapsed = Date.now() - sent.at;
  const failure = thrownFailure(String(error), elapsed, sent.timeoutMs);
  if (failure === 'interrupted') iteration.interrupted = true;
  iteration.log.end(sent.key, elapsed, 0, failure, false);
}
