// The event log, version 1: one line an event, on k6's console (README.md has the table). The
// lines that every request writes are plain fields, because JSON costs twice as much here.

import { VERSION } from './headers.js';

/** What every line begins with. */
const MARK = 'lg1';

/**
 * The first line, and the moment that all times of the plan count from. Call it in setup().
 *
 * @param {object} part what of the test this k6 does: `segment` and `segment_sequence`, or nothing.
 */
export function logRun(runId, baseUrl, planJson, part = {}) {
  const head = JSON.stringify({
    schema_version: 1,
    run_id: runId,
    base_url: baseUrl,
    module_version: VERSION,
    ...part,
  });
  console.log(`${MARK} run ${head.slice(0, -1)},"plan":${planJson}}`);
  console.log(`${MARK} zero ${Date.now()}`);
}

/**
 * A scenario's executor began.
 *
 * @param scenario its index in the plan.
 * @param {number} startMs by k6's own clock, in Unix milliseconds.
 */
export function logOpen(scenario, startMs) {
  console.log(`${MARK} open ${scenario} ${Math.round(startMs)}`);
}

/**
 * What a VU logs of its requests and iterations. Make it in an iteration: at init k6 has another
 * console. One for each VU, because k6 makes `console.log` anew whenever it is looked up, which
 * takes half as long as to write a line.
 */
export function vuLog() {
  const { log } = console;
  return {
    /**
     * A request is handed to k6.
     *
     * @param {string | number} key who sends it; unique among the requests in flight.
     * @param {string | number} scenario index in the plan; flow and step likewise, or `=name`.
     * @param {number} sentMs Unix milliseconds.
     * @param {string} path path and query.
     */
    begin(key, scenario, iteration, flow, step, traceId, spanId, sentMs, path) {
      log(`${MARK} b ${key} ${scenario} ${iteration} ${flow} ${step} ${traceId} ${spanId} ${sentMs} ${path}`);
    },

    /**
     * A request ended.
     *
     * @param {number} durationMs from handing it over to the whole answer, or the failure;
     *   microseconds are what k6's figures are good for.
     * @param {number} status of HTTP; 0: no answer.
     * @param {string} failure a kind of failure, or `-`.
     * @param {boolean} last whether the iteration ended with it.
     */
    end(key, durationMs, status, failure, last) {
      log(`${MARK} e ${key} ${durationMs.toFixed(3)} ${status} ${failure}${last ? ' .' : ''}`);
    },

    /** A step without a request, because a variable has no value. */
    unsent(vu, scenario, iteration, step) {
      log(`${MARK} u ${vu} ${scenario} ${iteration} ${step}`);
    },

    /** An iteration ended, which the end of its last request could not say. */
    iterationEnd(vu) {
      log(`${MARK} i ${vu}`);
    },

    /** An iteration ended that wrote no line. */
    emptyIteration(scenario, iteration) {
      log(`${MARK} n ${scenario} ${iteration}`);
    },
  };
}

/**
 * The last line: what k6 itself counted. Call it in handleSummary().
 *
 * @param data what k6 gave to handleSummary().
 * @param {string[]} names of the scenarios.
 */
export function logSummary(data, names) {
  const count = (metric, name) => {
    const found = data.metrics[`${metric}{scenario:${name}}`];
    return found === undefined ? 0 : found.values.count;
  };
  const scenarios = {};
  for (const name of names) {
    scenarios[name] = {
      iterations: count('iterations', name),
      dropped_iterations: count('dropped_iterations', name),
    };
  }
  const line = { scenarios, test_run_duration_ms: data.state.testRunDurationMs };
  console.log(`${MARK} end ${JSON.stringify(line)}`);
}

/** JSON without blanks between its tokens, every value and the order of keys as they were. */
export function compactJson(text) {
  return text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, '$1');
}
