// A first k6 script that writes loadgen's ground truth, made by `loadgen k6 init`.
//
//   k6 run --log-format raw --console-output events.log -e BASE_URL=http://127.0.0.1:8080 script.js
//   loadgen timeline from-k6 events.log --out run
//   loadgen extract TELEMETRY --timeline run/timeline.jsonl --out run/dataset

import { sleep } from 'k6';
import { groundTruth } from './loadgen/loadgen.js';

const BASE = __ENV.BASE_URL;

const truth = groundTruth({
  name: 'first',
  baseUrl: BASE,
  options: {
    // k6's own options. The load is the same in both windows, so that only the system differs.
    scenarios: {
      normal: { executor: 'constant-vus', vus: 2, duration: '2m', exec: 'visit', gracefulStop: '5s' },
      stalled: { executor: 'constant-vus', vus: 2, duration: '30s', startTime: '2m', exec: 'visit', gracefulStop: '5s' },
    },
  },
  // What windows are labelled with; one that is not named is normal. Break the service by hand in
  // this window, and only in it.
  anomalies: {
    stalled: {
      type: 'stalled',
      symptom: 'request_timeout',
      root_cause: 'process_stopped',
      msg: 'The service does not answer',
      root_cause_service: 'my-service',
    },
  },
});

// k6's http, with labels.
const http = truth.http;
export const options = truth.options;
export const setup = truth.setup;
export const handleSummary = truth.handleSummary;

export const visit = truth.iteration(() => {
  http.get(`${BASE}/`, { tags: { name: 'home' } });
  sleep(0.5);
});
