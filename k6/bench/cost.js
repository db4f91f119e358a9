// What the module costs: one request an iteration, as fast as the target answers. MODE is `bare`
// (k6 alone, the same request and headers), `silent` (the module, its lines thrown away) or `log`.
// cost.sh runs all three.

import http from 'k6/http';
import { replay } from '../loadgen.js';
import { scenarioHeaders } from '../headers.js';

const run = replay({ plan: import.meta.resolve('./plan.json') });
const params = {
  headers: scenarioHeaders({ type: 'none', root_cause: 'none', label: 'normal', msg: 'Normal operation' }, '43b54f0272634fbeb85015083d013198'),
  timeout: 5000,
  responseType: 'none',
  tags: { name: 'get' },
};

const SILENCE = { log() {} };

export const options = run.options;
export const setup = __ENV.MODE === 'bare' ? () => {} : run.setup;

export default {
  bare: () => http.request('GET', `${__ENV.BASE_URL}/?sku=7`, null, params),
  silent() {
    // At init it would not last.
    globalThis.console = SILENCE;
    run.iteration();
  },
  log: run.iteration,
}[__ENV.MODE];

export function handleSummary(data) {
  run.handleSummary(data);
  return { stdout: `${data.metrics.http_reqs.values.count}\n` };
}
