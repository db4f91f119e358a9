// The replay of a plan: takes each of k6's iterations through its flow, sends the requests and
// writes the event log. Everything that is decided is decided in iteration.js; here is what has to
// do with k6, the network and the clock.

import http from 'k6/http';
import { sleep } from 'k6';
import { transportFailure } from './failures.js';
import { newTraceId, scenarioHeaders, spanIdOf, traceparent } from './headers.js';
import {
  MISSING,
  SKIP,
  UNSENDABLE,
  Iteration,
  chooseFlow,
  compileFlow,
  matchesContentType,
  matchesStatus,
} from './iteration.js';
import { logBegin, logEmptyIteration, logEnd, logIterationEnd, logOpen, logUnsent } from './log.js';
import { Place } from './place.js';
import { Prng } from './prng.js';
import { REDIRECTS, becomesGet, hostOf, redirectTo } from './redirects.js';

/**
 * The function that k6 is to call for each iteration, in one VU.
 *
 * @param plan what `loadPlan` gave.
 * @param target what `baseUrl` gave.
 * @param {string} runId the run's id.
 */
export function journey(plan, target, runId) {
  const iteration = new Iteration();
  const place = new Place();
  // Before k6's clocks start: it takes a VU some milliseconds, by which its first iteration through
  // each flow would be late. Where k6 reads the options, no iteration is run.
  const flows = __VU === 0 ? [] : plan.flows().map(readied);
  const scenarios = new Map();
  let scenario = null;
  const ownHost = hostOf(target.url);
  const listedHosts = plan.head.redirect_hosts || [];

  return function iterate() {
    place.find();
    if (scenario === null || scenario.name !== place.name) scenario = enter(place.name);
    run(place.number);
  };

  /** The scenario that k6 is in, with what its requests have in common. */
  function enter(name) {
    let entered = scenarios.get(name);
    if (entered === undefined) {
      const index = plan.head.scenarios.findIndex((planned) => planned.name === name);
      entered = {
        name,
        index,
        exec: plan.head.scenarios[index].exec,
        prng: new Prng(plan.head.seed, name),
        // Of its requests, with and without a JSON body, and of steps with headers of their own.
        baggage: scenarioHeaders(plan.head.scenarios[index].anomaly, runId).baggage,
        headers: null,
        jsonHeaders: null,
        ownHeaders: new Map(),
      };
      scenarios.set(name, entered);
    }
    if (place.isFirst()) logOpen(entered.index, place.startMs());
    return entered;
  }

  function run(number) {
    const flowIndex = chooseFlow(scenario.exec, scenario.prng, number);
    const flow = flows[flowIndex];
    iteration.start(flow, scenario.prng, number, plan.head.client_cells === true);
    const last = flow.steps.length - 1;
    const waitNs = iteration.waitTimeNs();
    let silent = true;
    for (let i = 0; i <= last; i++) {
      const step = flow.steps[i];
      const what = iteration.prepare(step);
      if (what === SKIP) continue;
      silent = false;
      const pauseNs = iteration.thinkTimeNs(step);
      if (what === MISSING) {
        logUnsent(place.vu, scenario.index, number, i);
      } else {
        const ends = i === last && pauseNs === 0 && waitNs === 0;
        if (!exchange(number, flowIndex, i, step, what, ends) || ends) return;
      }
      if (pauseNs > 0 && !pause(pauseNs / 1e6)) return;
    }
    if (waitNs > 0 && !pause(waitNs / 1e6)) return;
    if (silent) logEmptyIteration(scenario.index, number);
    else logIterationEnd(place.vu);
  }

  /** The headers of a step's requests in the current scenario, made once and shared where they can be. */
  function headersOf(step) {
    if (step.headers.length > 0 || step.baggage.length > 0) {
      let own = scenario.ownHeaders.get(step);
      if (own === undefined) {
        own = makeHeaders(step.json !== null);
        for (const { name, constant } of step.headers) {
          if (constant !== undefined) own[name] = constant;
        }
        scenario.ownHeaders.set(step, own);
      }
      return own;
    }
    if (step.json === null) return scenario.headers || (scenario.headers = makeHeaders(false));
    return scenario.jsonHeaders || (scenario.jsonHeaders = makeHeaders(true));
  }

  function makeHeaders(withJson) {
    const headers = scenarioHeaders(plan.head.scenarios[scenario.index].anomaly, runId);
    if (target.authorization !== null) headers.authorization = target.authorization;
    if (withJson) headers['content-type'] = 'application/json';
    return headers;
  }

  /**
   * Sends a request and logs it.
   *
   * @returns false where k6 broke it off: the iteration is over.
   */
  function exchange(number, flowIndex, stepIndex, step, what, ends) {
    const vu = place.vu;
    const traceId = newTraceId();
    const spanId = spanIdOf(traceId);
    const params = step.params;
    const headers = headersOf(step);
    params.headers = headers;
    headers.traceparent = traceparent(traceId, spanId);
    if (iteration.headers !== null) {
      for (let i = 0; i < step.headers.length; i++) {
        if (step.headers[i].constant === undefined) headers[step.headers[i].name] = iteration.headers[i];
      }
    }
    if (iteration.baggage !== '') headers.baggage = scenario.baggage + iteration.baggage;
    const path = iteration.path;
    const url = target.url + path;
    const sent = Date.now();
    logBegin(vu, scenario.index, number, flowIndex, stepIndex, traceId, spanId, sent, path);
    if (what === UNSENDABLE) {
      logEnd(vu, 0, 0, 'request', ends);
      return true;
    }
    let answer = http.request(step.method, url, iteration.body, params);
    let to = followed(answer);
    const wasRedirected = to !== null;
    if (wasRedirected) {
      const leg = { method: step.method, body: iteration.body, params: { ...params } };
      for (let hop = 0; to !== null && hop < REDIRECTS; hop++) {
        follow(leg, answer.status, to, params.timeout - (Date.now() - sent));
        answer = http.request(leg.method, to, leg.body, leg.params);
        to = followed(answer);
      }
    }
    const status = answer.status;
    if (status === 0) {
      const elapsed = Date.now() - sent;
      const failure = transportFailure(answer.error_code, answer.error, elapsed, params.timeout);
      const interrupted = failure === 'interrupted';
      logEnd(vu, elapsed, 0, failure, ends && !interrupted);
      return !interrupted;
    }
    if (to !== null) {
      logEnd(vu, Date.now() - sent, 0, 'io', ends);
      return true;
    }
    const timings = answer.timings;
    // Waiting for a connection, making it included; sending, waiting, receiving. After a redirect
    // the timings are those of the last leg.
    const duration = wasRedirected ? Date.now() - sent : timings.blocked + timings.duration;
    logEnd(vu, duration, status, judge(step, status, answer), ends);
    return true;
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
  function follow(leg, status, to, leftMs) {
    leg.params.timeout = Math.max(leftMs, 1);
    leg.params.headers = { ...leg.params.headers };
    if (becomesGet(status)) {
      if (leg.method !== 'HEAD') leg.method = 'GET';
      leg.body = null;
      delete leg.params.headers['content-type'];
    }
    if (hostOf(to) !== ownHost) delete leg.params.headers.authorization;
  }

  /** What is wrong with an answer; takes from it what the step captures. */
  function judge(step, status, answer) {
    if (!matchesStatus(step.expect, status)) return 'status';
    if (
      step.expect.contentType !== null &&
      !matchesContentType(step.expect, answer.headers['Content-Type'])
    ) {
      return 'content_type';
    }
    if (step.captures.length === 0) return '-';
    const body = answer.body;
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
