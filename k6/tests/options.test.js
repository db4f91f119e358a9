// A plan as k6's options, and k6's options as a plan.

import { planOptions } from '../options.js';
import { durationNs, scenariosOf, scriptPlan } from '../scriptplan.js';
import { equal, run, throws } from './testing.js';

export { handleSummary, options } from './testing.js';

const NORMAL = { type: 'none', label: 'normal', root_cause: 'none', msg: '', root_cause_service: null };

function planOf(executor) {
  const scenario = {
    name: 'x',
    executor,
    start_ns: 1500000001,
    end_ns: 2500000001,
    graceful_stop_ns: 2000000000,
    guard_ns: 0,
    exec: [{ flow: 0, weight: 1 }],
    anomaly: NORMAL,
    fault: null,
    tags: { team: 'a' },
    env: { A: '1' },
  };
  return { scenarios: [scenario] };
}

const COMMON = {
  startTime: '1500000001ns',
  gracefulStop: '2000000000ns',
  tags: { team: 'a', anomaly_type: 'none', anomaly_label: 'normal' },
  env: { A: '1' },
};

// Pairs of a plan's executor and k6's.
const EXECUTORS = [
  [
    { type: 'constant-vus', vus: 3, duration_ns: 1000000001 },
    { executor: 'constant-vus', vus: 3, duration: '1000000001ns' },
  ],
  [
    { type: 'ramping-vus', start_vus: 0, stages: [{ duration_ns: 0, target: 5 }], graceful_ramp_down_ns: 7 },
    { executor: 'ramping-vus', startVUs: 0, stages: [{ duration: '0ns', target: 5 }], gracefulRampDown: '7ns' },
  ],
  [
    { type: 'constant-arrival-rate', rate: 9, time_unit_ns: 1e9, duration_ns: 2e9, pre_allocated_vus: 1, max_vus: 4 },
    { executor: 'constant-arrival-rate', rate: 9, timeUnit: '1000000000ns', duration: '2000000000ns', preAllocatedVUs: 1, maxVUs: 4 },
  ],
  [
    { type: 'ramping-arrival-rate', start_rate: 0, time_unit_ns: 6e10, stages: [{ duration_ns: 5e8, target: 3 }], pre_allocated_vus: 0, max_vus: 4 },
    { executor: 'ramping-arrival-rate', startRate: 0, timeUnit: '60000000000ns', stages: [{ duration: '500000000ns', target: 3 }], preAllocatedVUs: 0, maxVUs: 4 },
  ],
  [
    { type: 'per-vu-iterations', vus: 2, iterations: 5, max_duration_ns: 6e11 },
    { executor: 'per-vu-iterations', vus: 2, iterations: 5, maxDuration: '600000000000ns' },
  ],
  [
    { type: 'shared-iterations', vus: 2, iterations: 5, max_duration_ns: 6e11 },
    { executor: 'shared-iterations', vus: 2, iterations: 5, maxDuration: '600000000000ns' },
  ],
];

export default function () {
  run({
    'every executor becomes k6\'s': () => {
      for (const [executor, expected] of EXECUTORS) {
        equal(planOptions(planOf(executor)).scenarios.x, { ...expected, ...COMMON });
      }
    },
    'what sends nothing is not k6\'s': () => {
      const plan = planOf({ type: 'constant-vus', vus: 3, duration_ns: 1e9 });
      const window = { ...plan.scenarios[0], name: 'y', executor: { type: 'none', duration_ns: 5e8 }, exec: [] };
      equal(Object.keys(planOptions({ scenarios: [...plan.scenarios, window] }).scenarios), ['x']);
    },
    'and k6\'s become a plan\'s again': () => {
      for (const [executor, given] of EXECUTORS) {
        const scenarios = { x: { ...given, ...COMMON } };
        const plan = scriptPlan({ name: 'n', file: 'n.js', url: 'http://h', scenarios, anomalies: {} });
        equal(plan.scenarios[0].executor, executor);
        equal(plan.scenarios[0].start_ns, 1500000001);
        equal(plan.scenarios[0].graceful_stop_ns, 2000000000);
      }
    },
    'iterations are counted by scenario': () => {
      const { thresholds } = planOptions(planOf(EXECUTORS[0][0]));
      equal(thresholds, {
        'iterations{scenario:x}': ['count>=0'],
        'dropped_iterations{scenario:x}': ['count>=0'],
      });
    },
    'what k6 can\'t run is refused with the scenario\'s name': () => {
      for (const [executor, part] of [
        [{ type: 'constant-vus', vus: 1, duration_ns: 999999999 }, 'scenario x has a duration of 999.999999 ms'],
        [{ ...EXECUTORS[2][0], duration_ns: 5e8 }, '--time-scale'],
        [{ ...EXECUTORS[2][0], rate: 0 }, 'iteration a time unit'],
        [{ ...EXECUTORS[3][0], max_vus: 0 }, 'at least one VU'],
        [{ ...EXECUTORS[4][0], max_duration_ns: 5e8 }, 'maxDuration of 500 ms'],
        [{ ...EXECUTORS[4][0], iterations: 0 }, 'at least one iteration'],
        [{ ...EXECUTORS[5][0], iterations: 1 }, 'fewer iterations (1) than VUs (2)'],
        [{ ...EXECUTORS[1][0], stages: [{ duration_ns: 1e9, target: 0 }] }, 'at least one VU'],
        [{ type: 'externally-controlled', vus: 1, max_vus: 2, duration_ns: 1e9, flag: 0 }, 'from a flag'],
        [{ type: 'teleport' }, 'teleport'],
      ]) {
        throws(() => planOptions(planOf(executor)), part);
      }
    },
    'durations as k6 takes them': () => {
      for (const [text, ns] of [
        ['1m30s', 90e9], ['1.5h', 5400e9], ['500ms', 5e8], ['1d2h', 93600e9], ['3us', 3000], ['3\u00b5s', 3000],
        ['7ns', 7], ['.5s', 5e8], [1500.25, 1500250000], ['250', 25e7], [0, 0], ['0s', 0],
      ]) {
        equal(durationNs(text, 'x'), ns, text);
      }
      for (const text of ['', '1x', 's', '1m 30s', '-1s', undefined, null, {}]) {
        throws(() => durationNs(text === null ? 'null' : text, 'scenario a, duration'), 'scenario a, duration');
      }
    },
    'the plan of a script': () => {
      const rush = { type: 'rush', symptom: 'high', root_cause: 'load' };
      const plan = scriptPlan({
        name: 'n',
        file: 'n.js',
        url: 'http://h',
        scenarios: {
          late: { executor: 'ramping-vus', stages: [{ duration: '10s', target: 2 }, { duration: 500, target: 0 }], startTime: '10s', exec: 'b' },
          early: { executor: 'constant-vus', duration: '10s', tags: { a: 1 }, env: { B: true } },
          also: { executor: 'per-vu-iterations', exec: 'b' },
        },
        anomalies: { late: rush },
      });
      equal(plan.scenarios.map((s) => s.name), ['early', 'also', 'late'], 'by start');
      equal(plan.flows, [{ name: 'b', variables: [], steps: [] }, { name: 'default', variables: [], steps: [] }]);
      const [early, also, late] = plan.scenarios;
      equal(late, {
        name: 'late',
        executor: {
          type: 'ramping-vus',
          start_vus: 1,
          stages: [{ duration_ns: 10e9, target: 2 }, { duration_ns: 5e8, target: 0 }],
          graceful_ramp_down_ns: 30e9,
        },
        start_ns: 10e9,
        end_ns: 20.5e9,
        graceful_stop_ns: 30e9,
        guard_ns: 525e6,
        exec: [{ flow: 0, weight: 1 }],
        anomaly: { type: 'rush', label: 'anomalous', symptom: 'high', root_cause: 'load', msg: '', root_cause_service: null },
        fault: null,
        tags: {},
        env: {},
      });
      equal([early.tags, early.env, early.anomaly], [{ a: '1' }, { B: 'true' }, NORMAL]);
      equal(also.end_ns, 600e9);
    },
    'shortcuts become the scenario default': () => {
      const executor = (options) => scenariosOf(options).default.executor;
      equal(executor({}), 'per-vu-iterations');
      equal(executor({ duration: '1s', vus: 2 }), 'constant-vus');
      equal(executor({ iterations: 5, vus: 2, duration: '1s' }), 'shared-iterations');
      equal(executor({ stages: [] }), 'ramping-vus');
    },
    'labels that contradict themselves': () => {
      const of = (anomaly) => () =>
        scriptPlan({ name: 'n', file: 'n.js', url: '', scenarios: { a: { executor: 'per-vu-iterations' } }, anomalies: { a: anomaly } });
      throws(of({ type: 'x', label: 'y' }), 'root_cause');
      throws(of({ type: 'x', label: 'normal', root_cause: 'y' }), 'normal');
      throws(of({ type: 'none', label: 'y', root_cause: 'y' }), 'normal');
      throws(of({ type: 'none', label: 'anomalous', root_cause: 'y' }), 'normal');
      throws(of({ type: 'x', label: 'y', symptom: 'z', root_cause: 'y' }), 'leave label out');
      throws(of({ type: 'x+y', root_cause: 'y' }), 'letters, digits');
    },
    'the label follows from the type, and older scripts have the symptom there': () => {
      const of = (anomaly) =>
        scriptPlan({ name: 'n', file: 'n.js', url: '', scenarios: { a: { executor: 'per-vu-iterations' } }, anomalies: { a: anomaly } })
          .scenarios[0].anomaly;
      const rest = { root_cause: 'r', msg: '', root_cause_service: null };
      equal(of({ type: 'x', root_cause: 'r' }), { type: 'x', label: 'anomalous', ...rest });
      equal(of({ type: 'x', label: 'anomalous', root_cause: 'r' }), { type: 'x', label: 'anomalous', ...rest });
      equal(of({ type: 'x', label: 'high', root_cause: 'r' }), { type: 'x', label: 'anomalous', symptom: 'high', ...rest });
      equal(of({ type: 'none', root_cause: 'none' }), { type: 'none', label: 'normal', ...rest, root_cause: 'none' });
    },
  });
}
