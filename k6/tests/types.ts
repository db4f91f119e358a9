// Checks loadgen.d.ts against @types/k6; it is compiled, not run (../README.md says how).

import { sleep } from 'k6';
import type { Options } from 'k6/options';
import { groundTruth, replay } from '../loadgen.js';
import type { Anomaly, GroundTruth, Replay, SummaryData } from '../loadgen.js';

const run: Replay = replay({ plan: 'plan.json', baseUrl: 'http://shop.example:8080' });
export const ofReplay: Options = run.options;
export const iteration: () => void = run.iteration;

const rush: Anomaly = { type: 'rush', symptom: 'high_rate', root_cause: 'load' };
const truth: GroundTruth = groundTruth({
  name: 'typed',
  baseUrl: 'http://shop.example:8080',
  options: {
    scenarios: { rush: { executor: 'constant-vus', vus: 1, duration: '1m', exec: 'browse' } },
    thresholds: { http_req_failed: ['rate<0.1'] },
  },
  anomalies: { rush },
  expected: (answer) => answer.status < 300 && answer.timings.duration < 1000,
});

export const options: Options = truth.options;

export function setup(): { token: string } {
  truth.setup();
  return { token: 'x' };
}

const http = truth.http;

// What a wrapped function takes and gives stays typed.
export const browse: (data: { token: string }) => number = truth.iteration((data) => {
  const answer = http.get('http://shop.example:8080/', { tags: { name: 'home' }, responseType: 'text' });
  const body: string = answer.body;
  http.batch([['GET', http.url`http://shop.example:8080/${data.token}`]]);
  sleep(0.1);
  return body.length;
}, 'browse');

export const later: () => Promise<void> = truth.iteration(async () => {
  const answer = await http.asyncRequest('POST', 'http://shop.example:8080/', '{}');
  answer.json();
});

export function handleSummary(data: SummaryData): Record<string, string> {
  truth.handleSummary(data);
  return { stdout: 'done\n' };
}

// @ts-expect-error: options are required
groundTruth({});
// @ts-expect-error: an anomaly needs a root cause
groundTruth({ options: {}, anomalies: { rush: { type: 'rush', symptom: 'high_rate' } } });
// @ts-expect-error: a URL is a text
http.get(7);
