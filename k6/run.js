// What a run has around its iterations, whether it replays a plan or is somebody's own script.

import exec from 'k6/execution';
import { logSummary } from './log.js';

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
