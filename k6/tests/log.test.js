// The lines of the event log, and k6's http as a script of one's own gets it. Nothing listens on the
// port that is asked here, so every request fails in the same way.

import http from 'k6/http';
import { groundTruth } from '../loadgen.js';
import {
  compactJson,
  logOpen,
  logRun,
  logSummary,
  vuLog,
} from '../log.js';
import { givenOrNewId, runId, startMs } from '../run.js';
import { equal, run, throws, options as common } from './testing.js';

export { handleSummary } from './testing.js';

const URL = 'http://127.0.0.1:1';
const ID = '[0-9a-f]';

// What every VU gets, and setup().
const RUN_ID = runId();

const truth = groundTruth({
  baseUrl: URL,
  options: {
    scenarios: { odd: { executor: 'shared-iterations', iterations: 1, exec: 'default', tags: { a: 'b' } } },
    thresholds: { 'iterations{scenario:odd}': ['count==1'] },
    discardResponseBodies: true,
  },
  anomalies: { odd: { type: 'odd', symptom: 'strange', root_cause: 'test', msg: 'It is odd' } },
});

export const options = {
  ...truth.options,
  thresholds: { ...truth.options.thresholds, ...common.thresholds },
};

let logged = [];

/** The lines that are logged meanwhile. */
function lines(work) {
  logged = [];
  work();
  return logged;
}

function matches(line, pattern) {
  if (!new RegExp(`^${pattern}$`).test(line)) throw new Error(`${line}\nis not\n${pattern}`);
}

const begin = (key, step, path) =>
  `lg1 b ${key} 0 0 =default =${step} ${ID}{32} ${ID}{16} [0-9]{13} ${path}`;
const refused = (key) => `lg1 e ${key} [0-9.]+ 0 connect`;

const TESTS = {
  'lines of a replay': () => {
    const all = lines(() => {
      logOpen(3, 1795573449688.4);
      const log = vuLog();
      log.begin(7, 0, 12, 3, 4, 'a1', 'b2', 1795573449688, '/x?q=1');
      log.end(7, 12.3456789, 503, 'status', true);
      log.end('7.1', 5000, 0, 'timeout', false);
      log.unsent(7, 0, 12, 5);
      log.iterationEnd(7);
      log.emptyIteration(0, 13);
    });
    equal(all, [
      'lg1 open 3 1795573449688',
      'lg1 b 7 0 12 3 4 a1 b2 1795573449688 /x?q=1',
      'lg1 e 7 12.346 503 status .',
      'lg1 e 7.1 5000.000 0 timeout',
      'lg1 u 7 0 12 5',
      'lg1 i 7',
      'lg1 n 0 13',
    ]);
  },
  'first and last lines': () => {
    const data = {
      metrics: { 'iterations{scenario:a}': { values: { count: 5 } } },
      state: { testRunDurationMs: 12.5 },
    };
    const [first, zero, last] = lines(() => {
      logRun('f'.repeat(32), 'http://h', '{"name":"n"}');
      logSummary(data, ['a']);
    });
    equal(JSON.parse(first.slice('lg1 run '.length)), {
      schema_version: 1,
      run_id: 'f'.repeat(32),
      base_url: 'http://h',
      module_version: '0.1.0',
      plan: { name: 'n' },
    });
    matches(zero, 'lg1 zero [0-9]{13}');
    equal(JSON.parse(last.slice('lg1 end '.length)), {
      scenarios: { a: { iterations: 5, dropped_iterations: 0 } },
      test_run_duration_ms: 12.5,
    });
  },
  'one k6 of several says which': () => {
    const [first] = lines(() => {
      logRun('f'.repeat(32), 'http://h', '{}', { segment: '0:1/2', segment_sequence: '0,1/2,1' });
    });
    const { segment, segment_sequence } = JSON.parse(first.slice('lg1 run '.length));
    equal([segment, segment_sequence], ['0:1/2', '0,1/2,1']);
  },
  'the agreed start': () => {
    equal(startMs('1772359200'), 1772359200000);
    equal(startMs('1772359200.25'), 1772359200250);
    equal(startMs('2026-03-01T10:00:00Z'), 1772359200000);
    throws(() => startMs('tomorrow'), 'LOADGEN_START_AT');
  },
  'ids of runs': () => {
    equal(givenOrNewId('0'.repeat(32)), '0'.repeat(32));
    matches(givenOrNewId(undefined), `${ID}{32}`);
    throws(() => givenOrNewId('x'), 'LOADGEN_RUN_ID');
  },
  'a plan is made compact without being read': () => {
    equal(compactJson('{ "b c" : [1.0,\n "\\" \\\\" ],\t"7":1e5 }'), '{"b c":[1.0,"\\" \\\\"],"7":1e5}');
  },
  'options of one\'s own script': () => {
    const { scenarios, thresholds, discardResponseBodies } = truth.options;
    equal(scenarios.odd.tags, { a: 'b', anomaly_type: 'odd', anomaly_label: 'anomalous' });
    equal(thresholds['iterations{scenario:odd}'], ['count>=0', 'count==1']);
    equal(discardResponseBodies, true);
  },
  'a request is labelled, logged, and otherwise k6\'s': () => {
    let answer;
    const all = lines(() => {
      answer = truth.http.get(`${URL}/a b?c#d`, { headers: { 'X-A': '1', Baggage: 'k=v' }, tags: { name: 'my step' } });
    });
    // It is the scenario's first iteration.
    matches(all.shift(), 'lg1 open 0 [0-9]{13}');
    equal(all.length, 2);
    matches(all[0], begin('1', 'my%20step', '/a%20b\\?c'));
    matches(all[1], refused('1'));
    equal(answer.error_code, http.get(URL).error_code);
    const { headers } = answer.request;
    const traceId = all[0].split(' ')[7];
    equal(headers['X-A'], ['1']);
    equal(headers.Traceparent, [`00-${traceId}-${traceId.slice(16)}-01`]);
    equal(headers['X-Anomaly-Msg'], ['It is odd']);
    equal(headers['X-Anomaly-Label'], ['anomalous']);
    equal(headers.Baggage, [
      'anomaly.type=odd,anomaly.root_cause=test,anomaly.label=anomalous,anomaly.msg=It%20is%20odd,' +
        `loadgen.run_id=${RUN_ID},k=v`,
    ]);
  },
  'a trace context of one\'s own is kept': () => {
    const own = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    const [line] = lines(() => truth.http.post(URL, null, { headers: { traceparent: own } }));
    matches(line, `lg1 b 1 0 0 =default =POST%20%2F a{32} b{16} [0-9]{13} /`);
  },
  'what k6 throws is thrown': () => {
    const all = lines(() => throws(() => truth.http.del(URL, null, { throw: true }), 'connection refused'));
    matches(all[1], refused('1'));
  },
  'batches keep their form': () => {
    let answers;
    const named = truth.http.url`${URL}/${7}`;
    const all = lines(() => {
      answers = truth.http.batch({ a: `${URL}/a`, b: ['PUT', `${URL}/b`], c: { method: 'POST', url: named } });
    });
    // k6 gives no order to the answers of an object.
    equal(Object.keys(answers).sort(), ['a', 'b', 'c']);
    equal(answers.b.request.method, 'PUT');
    equal(all.length, 6);
    matches(all[0], begin('1\\.1', 'GET%20%2Fa', '/a'));
    matches(all[2], begin('1\\.3', encodeURIComponent(named.name).replace(/[$]/g, '\\$'), '/7'));
    matches(all[3], refused('1\\.1'));
    lines(() => equal(Array.isArray(truth.http.batch([`${URL}/a`])), true));
  },
  'the rest of http is k6\'s': () => {
    equal(truth.http.TLS_1_3, http.TLS_1_3);
    equal(typeof new truth.http.CookieJar().set, 'function');
    equal(typeof truth.http.expectedStatuses(200), 'object');
  },
  'the end of an iteration is logged': () => {
    equal(lines(() => equal(truth.iteration((x) => x + 1)(6), 7)), ['lg1 n 0 0']);
    const all = lines(() => throws(truth.iteration(() => {
      truth.http.get(URL);
      throw new Error('mine');
    }, 'my flow'), 'mine'));
    matches(all[0], 'lg1 b 1 0 0 =my%20flow .*');
    equal(all[2], 'lg1 i 1');
  },
};

export default function () {
  // For good, as the module looks its console up once.
  globalThis.console = { log: (line) => logged.push(line), error: console.error };
  run(TESTS);
}
