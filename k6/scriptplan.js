// k6 options of somebody's own script as a plan, so that the log of such a run says the same as
// that of a replay: which windows there are, and what each is labelled with. The plan's form is
// that of crates/scenario/src/plan.rs; what an iteration sends stays the script's own affair.

const MS_NS = 1e6;
const SECOND_NS = 1e9;
const UNITS_NS = {
  d: 86400 * SECOND_NS,
  h: 3600 * SECOND_NS,
  m: 60 * SECOND_NS,
  s: SECOND_NS,
  ms: MS_NS,
  us: 1e3,
  '\u00b5s': 1e3,
  '\u03bcs': 1e3,
  ns: 1,
};
const DURATION_PART = /(\d+(?:\.\d*)?|\.\d+)(d|h|ms|m|us|\u00b5s|\u03bcs|ns|s)/g;

/** Part of a window after each of its edges that counts as transition, as in scenario files. */
const GUARD = 0.05;

/**
 * A length of time as k6 takes it (`1m30s`, or a number of milliseconds), in nanoseconds.
 *
 * @param {string | number} value
 * @param {string} what for the message where it can't be read.
 */
export function durationNs(value, what) {
  const ms = typeof value === 'number' ? value : Number(value);
  if (value !== '' && Number.isFinite(ms) && ms >= 0) return Math.round(ms * MS_NS);
  let ns = 0;
  const rest = String(value).replace(DURATION_PART, (_, count, unit) => {
    ns += Number(count) * UNITS_NS[unit];
    return '';
  });
  if (rest !== '' || value === '') {
    throw new Error(`loadgen: ${what}: ${JSON.stringify(value)} is not a duration such as '1m30s'`);
  }
  return Math.round(ns);
}

/**
 * The scenarios of k6's options by name. k6's shortcuts (`vus`, `duration`, `iterations`, `stages`)
 * become the scenario `default`, as k6 makes of them.
 */
export function scenariosOf(options) {
  if (options.scenarios) return options.scenarios;
  const { vus = 1, duration, iterations, stages } = options;
  if (iterations !== undefined) {
    const maxDuration = duration === undefined ? '10m' : duration;
    return { default: { executor: 'shared-iterations', vus, iterations, maxDuration } };
  }
  if (stages !== undefined) {
    return { default: { executor: 'ramping-vus', startVUs: vus, stages } };
  }
  if (duration !== undefined) return { default: { executor: 'constant-vus', vus, duration } };
  return { default: { executor: 'per-vu-iterations', vus, iterations: 1 } };
}

/**
 * The plan of a script.
 *
 * @param {object} script `{name, file, url, scenarios, anomalies}`: name of the run, file of the
 *   script, base URL, k6's scenarios by name, and the anomaly of each by the scenario's name.
 */
export function scriptPlan({ name, file, url, scenarios, anomalies }) {
  const flows = [];
  const planned = Object.entries(scenarios).map(([scenario, given]) =>
    plannedScenario(scenario, given, anomalies[scenario], flowIndex(flows, given.exec || 'default')),
  );
  planned.sort((a, b) => a.start_ns - b.start_ns);
  return {
    schema_version: 1,
    name,
    scenario_file: file,
    scenario_sha256: '',
    seed: 0,
    time_scale: 1,
    target: { base_url: url },
    flows: flows.map((flow) => ({ name: flow, variables: [], steps: [] })),
    scenarios: planned,
  };
}

function flowIndex(flows, name) {
  const found = flows.indexOf(name);
  return found < 0 ? flows.push(name) - 1 : found;
}

function plannedScenario(name, given, anomaly, flow) {
  const ns = (option, otherwise) =>
    durationNs(given[option] === undefined ? otherwise : given[option], `scenario ${name}, ${option}`);
  const executor = executorOf(name, given, ns);
  const start = ns('startTime', 0);
  const length = lengthNs(executor);
  return {
    name,
    executor,
    start_ns: start,
    end_ns: start + length,
    graceful_stop_ns: ns('gracefulStop', '30s'),
    guard_ns: Math.round(length * GUARD),
    exec: [{ flow, weight: 1 }],
    anomaly: anomalyOf(name, anomaly),
    fault: null,
    tags: texts(given.tags),
    env: texts(given.env),
  };
}

function executorOf(name, given, ns) {
  const type = given.executor;
  const number = (option, otherwise) => (given[option] === undefined ? otherwise : given[option]);
  const stages = () =>
    given.stages.map(({ duration, target }) => ({
      duration_ns: durationNs(duration, `scenario ${name}, stages`),
      target,
    }));
  const pool = () => ({
    pre_allocated_vus: number('preAllocatedVUs', 0),
    max_vus: number('maxVUs', number('preAllocatedVUs', 0)),
  });
  switch (type) {
    case 'constant-vus':
      return { type, vus: number('vus', 1), duration_ns: ns('duration') };
    case 'ramping-vus':
      return {
        type,
        start_vus: number('startVUs', 1),
        stages: stages(),
        graceful_ramp_down_ns: ns('gracefulRampDown', '30s'),
      };
    case 'constant-arrival-rate':
      return {
        type,
        rate: given.rate,
        time_unit_ns: ns('timeUnit', '1s'),
        duration_ns: ns('duration'),
        ...pool(),
      };
    case 'ramping-arrival-rate':
      return {
        type,
        start_rate: number('startRate', 0),
        time_unit_ns: ns('timeUnit', '1s'),
        stages: stages(),
        ...pool(),
      };
    case 'per-vu-iterations':
    case 'shared-iterations':
      return {
        type,
        vus: number('vus', 1),
        iterations: number('iterations', 1),
        max_duration_ns: ns('maxDuration', '10m'),
      };
    default:
      throw new Error(`loadgen: scenario ${name}: the executor ${type} opens no window that could be labelled`);
  }
}

function lengthNs(executor) {
  if (executor.stages !== undefined) {
    return executor.stages.reduce((sum, stage) => sum + stage.duration_ns, 0);
  }
  return executor.duration_ns === undefined ? executor.max_duration_ns : executor.duration_ns;
}

/** An anomaly with everything that a plan has of it; without one, the window is normal. */
function anomalyOf(scenario, anomaly) {
  if (anomaly === undefined || anomaly === null) {
    return { type: 'none', label: 'normal', root_cause: 'none', msg: '', root_cause_service: null };
  }
  const { type, root_cause, msg = '', root_cause_service = null } = anomaly;
  for (const [key, value] of Object.entries({ type, root_cause })) {
    if (typeof value !== 'string' || value === '') {
      throw new Error(`loadgen: the anomaly of scenario ${scenario} needs a ${key}`);
    }
  }
  if (!/^[A-Za-z0-9_-]{1,100}$/.test(type)) {
    throw new Error(`loadgen: the anomaly of scenario ${scenario}: a type has up to 100 letters, digits, _ and -, not ${type}`);
  }
  const label = type === 'none' ? 'normal' : 'anomalous';
  const old = symptomInLabel(anomaly);
  const contradicts = old !== null ? type === 'none' : anomaly.label !== undefined && anomaly.label !== label;
  if (contradicts) {
    throw new Error(`loadgen: the anomaly of scenario ${scenario}: the label normal goes with the type none only`);
  }
  if (old !== null && anomaly.symptom !== undefined) {
    throw new Error(`loadgen: the anomaly of scenario ${scenario}: leave label out, it follows from the type`);
  }
  const symptom = old === null ? anomaly.symptom : old;
  const named = typeof symptom === 'string' && symptom !== '' ? { symptom } : {};
  return { type, label, ...named, root_cause, msg, root_cause_service };
}

/**
 * The name of a symptom that stands where the label is, as older scripts have it; else null.
 *
 * @param anomaly as a script gives it.
 */
export function symptomInLabel({ label }) {
  return label === undefined || label === 'normal' || label === 'anomalous' ? null : String(label);
}

function texts(map) {
  return Object.fromEntries(Object.entries(map || {}).map(([key, value]) => [key, String(value)]));
}
