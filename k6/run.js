// What a run has around its iterations, whether it replays a plan or is somebody's own script.

import exec from 'k6/execution';
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
