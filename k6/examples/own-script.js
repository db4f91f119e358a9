// A script of one's own that writes loadgen's ground truth:
//
//   k6 run --log-format raw --console-output events.log \
//     -e BASE_URL=http://shop.example:8080 own-script.js

import { check, sleep } from 'k6';
import { groundTruth } from '../loadgen.js';

const BASE = __ENV.BASE_URL;

const truth = groundTruth({
  name: 'own-script',
  baseUrl: BASE,
  options: {
    scenarios: {
      calm: { executor: 'constant-vus', vus: 2, duration: '10s', exec: 'browse', gracefulStop: '2s' },
      rush: {
        executor: 'constant-arrival-rate',
        rate: 20,
        duration: '10s',
        startTime: '10s',
        preAllocatedVUs: 10,
        exec: 'browse',
        gracefulStop: '2s',
      },
    },
    thresholds: { http_req_failed: ['rate<0.5'] },
  },
  // Which window is labelled with what. `calm` is not named: it is normal.
  anomalies: {
    rush: {
      type: 'rush',
      symptom: 'high_rate',
      root_cause: 'load',
      msg: 'More visitors than usual',
      root_cause_service: 'catalogue',
    },
  },
});

// k6's http, but labelled and logged. The original still works, without labels.
const http = truth.http;

export const options = truth.options;
export const handleSummary = truth.handleSummary;

export function setup() {
  const answer = http.get(`${BASE}/api/catalogue/categories`);
  // Last of all: the times of the run count from here.
  truth.setup();
  return { categories: answer.json() };
}

export const browse = truth.iteration((data) => {
  const answer = http.get(`${BASE}/api/catalogue/products`, { tags: { name: 'products' } });
  check(answer, { 'has products': (r) => r.status === 200 });
  http.batch([
    `${BASE}/api/catalogue/products/${data.categories[0]}`,
    ['GET', `${BASE}/api/user/uniqueid`, null, { tags: { name: 'uniqueid' } }],
  ]);
  sleep(0.5);
}, 'browse');
