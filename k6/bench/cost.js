// What the module costs: one request an iteration, as fast as the target answers. MODE is `log`, or
// `silent`: its lines are made and thrown away. cost.sh runs both, and bare.js.

import { replay } from '../replayer.js';

const SILENCE = { log() {} };
const run = replay({ plan: import.meta.resolve('./plan.json') });

export const options = run.options;
export const setup = run.setup;

export default {
  log: run.iteration,
  silent() {
    // At init it would not last.
    globalThis.console = SILENCE;
    run.iteration();
  },
}[__ENV.MODE];

export function handleSummary(data) {
  run.handleSummary(data);
  return { stdout: `${data.metrics.http_reqs.values.count}\n` };
}
