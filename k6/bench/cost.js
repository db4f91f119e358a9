// What the module costs: one request an iteration, as fast as the target answers. MODE is `log`, or
// `silent`: its lines are made and thrown away. cost.sh runs both, and bare.js.

import { replay } from '../replayer.js';

let isSilent = false;
const run = replay({ plan: import.meta.resolve('./plan.json') });

export const options = run.options;
export const setup = run.setup;

export default {
  log: run.iteration,
  silent() {
    // At init it would not last; the module looks its console up once.
    if (!isSilent) globalThis.console = { log() {} };
    isSilent = true;
    run.iteration();
  },
}[__ENV.MODE];

export function handleSummary(data) {
  run.handleSummary(data);
  return { stdout: `${data.metrics.http_reqs.values.count}\n` };
}
