// The replay of a plan: takes each of k6's iterations through its flow, sends the requests and
// writes the event log. Everything that is decided is decided in iteration.js; here is what has to
// do with k6, the network and the clock.

import http from 'k6/http';
import { sleep } from 'k6';
import { transportFailure } from './failures.js';
import { newTraceId, scenarioHeaders } from './headers.js';
import {
  MISSING,
  SEND,
  SKIP,
  Iteration,
  chooseFlow,
  compileFlow,
  matchesContentType,
  matchesStatus,
} from './iteration.js';
import { logOpen, vuLog } from './log.js';
import { Place } from './place.js';
import { Prng } from './prng.js';
import { GO_ALONG, REDIRECTS, becomesGet, hostOf, originOf, redirectTo } from './redirects.js';

/** A request was sent, and has ended. */
const SENT = 0;
/** The step was left out. */
const SKIPPED = 1;
/** Nothing was sent, for want of a variable. */
const MISSED = 2;
/** k6 broke the request off: the iteration is over. */
const CUT = 3;

/**
 * The function that k6 is to call for each iteration, in one VU.
 *
 * @param plan what `loadPlan` gave.
 * @param target what `baseUrl` gave.
 * @param {string} runId the run's id.
 */
export function journey(plan, target, runId) {
  // What every request needs. k6's interpreter looks up an import, a global and a property by name
  // at each use, and a variable of a function by its place.
  const { get, request } = http;
  const { now } = Date;
  const makeTraceId = newTraceId;
  const baseUrl = target.url;

  const iteration = new Iteration();
  const place = new Place();
  // Before k6's clocks start: it takes a VU some milliseconds, by which its first iteration through
  // each flow would be late. Where k6 reads the options, no iteration is run.
  const flows = __VU === 0 ? [] : plan.flows().map(readied);
  const scenarios = new Map();
  const saysCell = plan.withoutFlows.client_cells === true;
  const ownHost = hostOf(baseUrl);
  const ownOrigin = originOf(baseUrl);
  const listedHosts = plan.withoutFlows.redirect_hosts || [];
  let scenario = null;
  let log = null;
  let vu = 0;

  return function iterate() {
    place.find();
    if (scenario === null || scenario.name !== place.name) scenario = enter(place.name);
    run(place.number);
  };

  /** The scenario that k6 is in, with what its requests have in common. */
  function enter(name) {
    if (log === null) log = vuLog();
    vu = place.vu;
    let entered = scenarios.get(name);
    if (entered === undefined) {
      const index = plan.withoutFlows.scenarios.findIndex((planned) => planned.name === name);
      const { exec, anomaly } = plan.withoutFlows.scenarios[index];
      const headers = requestHeaders(anomaly, false);
      entered = {
        name,
        index,
        exec,
        anomaly,
        prng: new Prng(plan.withoutFlows.seed, name),
        baggage: headers.baggage,
        // Of its requests, with and without a JSON body, and of steps with headers of their own.
        headers,
        jsonHeaders: requestHeaders(anomaly, true),
        ownHeaders: new Map(),
        // What sends the steps, by flow and step.
        senders: [],
      };
      scenarios.set(name, entered);
    }
    if (place.isFirst()) logOpen(entered.index, place.startMs());
    return entered;
  }

  function run(number) {
    const { exec, prng, senders } = scenario;
    const flowIndex = exec.length === 1 ? exec[0].flow : chooseFlow(exec, prng, number);
    const flow = flows[flowIndex];
    const { steps } = flow;
    iteration.start(flow, prng, number, saysCell);
    const last = steps.length - 1;
    const waitNs = flow.waitTime === null ? 0 : iteration.waitTimeNs();
    const sendersOfFlow = senders[flowIndex] || (senders[flowIndex] = []);
    let silent = true;
    for (let i = 0; i <= last; i++) {
      const { thinkTime } = steps[i];
      const ends = i === last && waitNs === 0 && thinkTime === null;
      const send = sendersOfFlow[i] || (sendersOfFlow[i] = sender(flowIndex, i));
      const outcome = send(number, ends);
      if (outcome === SKIPPED) continue;
      silent = false;
      if (outcome === CUT || (ends && outcome === SENT)) return;
      if (thinkTime !== null && !pause(iteration.thinkTimeNs(steps[i]) / 1e6)) return;
    }
    if (waitNs > 0 && !pause(waitNs / 1e6)) return;
    if (silent) log.emptyIteration(scenario.index, number);
    else log.iterationEnd(vu);
  }

  /** The headers of the request that `iteration` has prepared; shared where they can be. */
  function headersOf(step) {
    const shared = step.json === null ? scenario.headers : scenario.jsonHeaders;
    const headers = step.hasHeaders ? ownHeaders(step) : shared;
    if (iteration.baggage !== '') headers.baggage = scenario.baggage + iteration.baggage;
    return headers;
  }

  /** The headers of a step that has some of its own, in the current scenario; made once. */
  function ownHeaders(step) {
    let own = scenario.ownHeaders.get(step);
    if (own === undefined) {
      own = requestHeaders(scenario.anomaly, step.json !== null);
      for (const { name, constant } of step.headers) {
        if (constant !== undefined) own[name] = constant;
      }
      scenario.ownHeaders.set(step, own);
    }
    if (iteration.headers !== null) {
      for (let i = 0; i < step.headers.length; i++) {
        if (step.headers[i].constant === undefined) own[step.headers[i].name] = iteration.headers[i];
      }
    }
    return own;
  }

  function requestHeaders(anomaly, withJson) {
    const headers = scenarioHeaders(anomaly, runId);
    if (target.authorization !== null) headers.authorization = target.authorization;
    if (withJson) headers['content-type'] = 'application/json';
    return headers;
  }

  /**
   * A function that makes a step's request in the current scenario, sends it and logs it. What
   * never changes is kept in variables of it: to look all of it up in objects takes as long as to
   * send.
   *
   * @returns {function(number, boolean)} of the iteration's number and whether the iteration ends
   *   with this request; gives one of the outcomes above.
   */
  function sender(flowIndex, stepIndex) {
    const step = flows[flowIndex].steps[stepIndex];
    const { values } = flows[flowIndex];
    const { draws, expect, isGet, isPlain, method } = step;
    const { fill } = step.path;
    const { low, high } = expect;
    const { index, prng, headers: plainHeaders } = scenario;
    const { begin, end, unsent } = log;
    const drawCount = draws.length;
    const isCheckedByStatus = expect.contentType === null && step.captures.length === 0;
    const params = { ...step.params, headers: plainHeaders };
    const isSimple = isPlain && !step.isConditional && !saysCell;

    return (number, ends) => {
      let path;
      let body = null;
      let headers = plainHeaders;
      let isSendable = true;
      if (isSimple) {
        for (let i = 0; i < drawCount; i++) draws[i](values, prng, number);
        path = fill(values);
        if (path === undefined) {
          unsent(vu, index, number, stepIndex);
          return MISSED;
        }
      } else {
        const what = iteration.prepare(step);
        if (what === SKIP) return SKIPPED;
        if (what === MISSING) {
          unsent(vu, index, number, stepIndex);
          return MISSED;
        }
        isSendable = what === SEND;
        path = iteration.path;
        body = iteration.body;
        headers = headersOf(step);
        params.headers = headers;
      }
      // As spanIdOf and traceparent do it, without the calls.
      const traceId = makeTraceId();
      const spanId = traceId.slice(16);
      headers.traceparent = `00-${traceId}-${spanId}-01`;
      const sent = now();
      begin(vu, index, number, flowIndex, stepIndex, traceId, spanId, sent, path);
      if (!isSendable) {
        end(vu, 0, 0, 'request', ends);
        return SENT;
      }
      // k6 takes 2 us to see what an argument is.
      const url = baseUrl + path;
      const answer = isGet ? get(url, params) : request(method, url, body, params);
      const status = answer.status;
      if (isCheckedByStatus && status < 300 && status >= low && status <= high) {
        const timings = answer.timings;
        end(vu, timings.blocked + timings.duration, status, '-', ends);
        return SENT;
      }
      return conclude(step, body, params, answer, sent, ends);
    };
  }

  /** Follows an answer where it leads to, checks the last one and logs it. */
  function conclude(step, body, params, first, sent, ends) {
    let answer = first;
    let to = followed(answer);
    const wasRedirected = to !== null;
    if (wasRedirected) {
      const leg = { method: step.method, body, params: { ...params } };
      for (let hop = 0; to !== null && hop < REDIRECTS; hop++) {
        follow(leg, step, answer.status, to, params.timeout - (now() - sent));
        answer = request(leg.method, to, leg.body, leg.params);
        to = followed(answer);
      }
    }
    const status = answer.status;
    if (status === 0) {
      const elapsed = now() - sent;
      const failure = transportFailure(answer.error_code, answer.error, elapsed, params.timeout);
      const interrupted = failure === 'interrupted';
      log.end(vu, elapsed, 0, failure, ends && !interrupted);
      return interrupted ? CUT : SENT;
    }
    if (to !== null) {
      log.end(vu, now() - sent, 0, 'io', ends);
      return SENT;
    }
    const timings = answer.timings;
    // Waiting for a connection, making it included; sending, waiting, receiving. After a redirect
    // the timings are those of the last leg.
    const duration = wasRedirected ? now() - sent : timings.blocked + timings.duration;
    log.end(vu, duration, status, failureOf(step, status, answer), ends);
    return SENT;
  }

  /** Where an answer sends on to, if it does and that is followed: to the target, and hosts of the plan. */
  function followed(answer) {
    if (answer.status < 301 || answer.status > 308) return null;
    const to = redirectTo(answer.status, answer.headers['Location'], answer.url);
    if (to === null) return null;
    const host = hostOf(to);
    return host === ownHost || listedHosts.includes(host) ? to : null;
  }

  /** Makes of a request the one that a redirect asks for. */
  function follow(leg, step, status, to, leftMs) {
    leg.params.timeout = Math.max(leftMs, 1);
    leg.params.headers = { ...leg.params.headers };
    if (becomesGet(status)) {
      if (leg.method !== 'HEAD') leg.method = 'GET';
      leg.body = null;
      delete leg.params.headers['content-type'];
    }
    if (originOf(to) === ownOrigin) return;
    delete leg.params.headers.authorization;
    for (const { name } of step.headers) {
      if (!GO_ALONG.includes(name)) delete leg.params.headers[name];
    }
  }

  /** What is wrong with an answer; takes from it what the step captures. */
  function failureOf(step, status, answer) {
    const { expect, captures } = step;
    if (!matchesStatus(expect, status)) return 'status';
    if (
      expect.contentType !== null &&
      !matchesContentType(expect, answer.headers['Content-Type'])
    ) {
      return 'content_type';
    }
    if (captures.length === 0) return '-';
    // An answer that can have no body (204, 304) has none in k6.
    const body = answer.body || '';
    const bytes = body.indexOf('\ufffd') < 0 ? NaN : Number(answer.headers['Content-Length']);
    return iteration.capture(step, body, bytes) ? '-' : 'capture';
  }
}

/** A flow, compiled, with k6's parameters of each step's requests. */
function readied(planned) {
  const flow = compileFlow(planned);
  for (const step of flow.steps) {
    step.params = {
      headers: null,
      timeout: step.timeoutNs / 1e6,
      // They are followed here, as not all are to be.
      redirects: 0,
      responseType: step.captures.length > 0 ? 'text' : 'none',
      responseCallback: expectedStatuses(step.expect.status),
      tags: { name: step.name },
    };
  }
  return flow;
}

const callbacks = new Map();

/** Has k6's `http_req_failed` agree with the plan. Most steps expect the same, and share it. */
function expectedStatuses(ranges) {
  const key = JSON.stringify(ranges);
  let callback = callbacks.get(key);
  if (callback === undefined) {
    callback = http.expectedStatuses(...ranges.map(([min, max]) => ({ min, max })));
    callbacks.set(key, callback);
  }
  return callback;
}

/**
 * Pauses.
 *
 * @returns false where k6 broke the pause off: the iteration is over, though k6 lets the script run
 *   on for some microseconds.
 */
function pause(ms) {
  if (sleptWhole(ms)) return true;
  // Or the clock was set back meanwhile. Then this pause is a whole one.
  return sleptWhole(20);
}

function sleptWhole(ms) {
  const began = Date.now();
  sleep(ms / 1000);
  return Date.now() - began > ms - 2;
}
