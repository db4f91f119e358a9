// What a run has around its iterations, whether it replays a plan or is somebody's own script.

import exec from 'k6/execution';
import { sleep } from 'k6';
import { SharedArray } from 'k6/data';
import { logSummary } from './log.js';

/**
 * The id of this run, 32 hexadecimal digits: that of the variable LOADGEN_RUN_ID, else a new one. It
 * is the same in every VU and in setup(), which k6 runs apart from each other: the first to ask makes
 * it for all. At init only.
 */
export function runId() {
  return new SharedArray('loadgen run id', () => [givenOrNewId(__ENV.LOADGEN_RUN_ID)])[0];
}

/** The id that is given, if it is one; else a new one. */
export function givenOrNewId(given) {
  if (!given) return crypto.randomUUID().replaceAll('-', '');
  if (/^[0-9a-f]{32}$/.test(given)) return given;
  throw new Error(`loadgen: LOADGEN_RUN_ID must be 32 lower-case hexadecimal digits, not ${given}`);
}

/**
 * What of the test this k6 does, for the log: nothing where it does all of it. In setup() only.
 *
 * @returns {{segment?: string, segment_sequence?: string}} k6's options.
 */
export function part() {
  const { executionSegment: segment, executionSegmentSequence: sequence } = exec.test.options;
  if (!segment || segment === '0:1') return {};
  return sequence ? { segment, segment_sequence: sequence } : { segment };
}

/**
 * Waits for the moment of the variable LOADGEN_START_AT, in Unix seconds or RFC 3339, at which several
 * k6 begin together. Call it as the last thing before the run is logged; at once without the variable.
 */
export function waitForStart() {
  const given = __ENV.LOADGEN_START_AT;
  if (!given) return;
  const at = startMs(given);
  const late = Date.now() - at;
  if (late > 0) {
    throw new Error(
      `loadgen: too late: the run was to start ${late / 1000} s before this k6 was ready; start all of them anew`,
    );
  }
  sleep(-late / 1000);
}

/** A moment in Unix milliseconds, from Unix seconds or RFC 3339. */
export function startMs(given) {
  const at = /^[0-9.]+$/.test(given) ? Number(given) * 1000 : Date.parse(given);
  if (Number.isFinite(at)) return at;
  throw new Error(`loadgen: LOADGEN_START_AT must be Unix seconds, or RFC 3339 such as 2026-03-01T10:00:00Z, not ${given}`);
}

/**
 * Makes sure that k6 runs the scenarios that the log will speak of. Call it in setup().
 *
 * @param {string[]} names of the scenarios.
 */
export function checkScenarios(names) {
  const running = Object.keys(exec.test.options.scenarios);
  const extra = running.filter((name) => !names.includes(name));
  if (extra.length > 0 || running.length !== names.length) {
    throw new Error(
      `loadgen: k6 is to run ${running.join(', ')} instead of ${names.join(', ')}: ` +
        'leave --vus, --duration, --iterations and --stage away, they replace the scenarios',
    );
  }
}

/**
 * Writes the last line of the log.
 *
 * @param data what k6 gave to handleSummary().
 * @param {string[]} names of the scenarios.
 * @returns what handleSummary() is to return: without a result k6 prints its own summary, an empty
 *   one prints nothing.
 */
export function summary(data, names) {
  logSummary(data, names);
  return __ENV.LOADGEN_QUIET === '1' ? {} : undefined;
}
