// A plan as k6's options. Times of a plan are nanoseconds; k6 takes texts such as `1500000000ns`
// and keeps them to the nanosecond.

const SECOND_NS = 1e9;

/** A length of time as k6 reads it. */
export function duration(ns) {
  return `${ns}ns`;
}

/**
 * k6's options for a plan.
 *
 * @param plan the whole plan.
 * @throws where k6 would refuse a scenario, with the scenario's name and what to do.
 */
export function planOptions(plan) {
  const scenarios = {};
  for (const scenario of plan.scenarios.filter(sends)) {
    refuse(scenario.name, whyNot(scenario.executor));
    scenarios[scenario.name] = {
      ...executorOptions(scenario.executor),
      startTime: duration(scenario.start_ns),
      gracefulStop: duration(scenario.graceful_stop_ns),
      tags: scenarioTags(scenario),
      env: scenario.env || {},
    };
  }
  // k6 renews connections with each iteration, or never.
  const connections = plan.renew_connections ? { noVUConnectionReuse: true } : {};
  return { ...COMMON, ...connections, scenarios, thresholds: countingThresholds(Object.keys(scenarios)) };
}

/** Whether a scenario of a plan is one that k6 runs: others are windows of time only. */
export function sends({ executor }) {
  return executor.type !== 'none';
}

/** Options that every run needs, whatever its scenarios. */
const COMMON = {
  // The plan is written in setup(), and a large one may meet a slow disk.
  setupTimeout: '10m',
  // A failed request is an answer like any other here, never an exception.
  throw: false,
};

/** The tags of a scenario's metrics: its own, and what it is labelled with. */
export function scenarioTags({ tags, anomaly }) {
  return { ...tags, anomaly_type: anomaly.type, anomaly_label: anomaly.label };
}

/**
 * Thresholds that always hold. k6 keeps a metric apart for a scenario only where a threshold asks
 * for it, and its counts of iterations, started and dropped, are part of the ground truth.
 */
export function countingThresholds(names) {
  const thresholds = {};
  for (const name of names) {
    thresholds[`iterations{scenario:${name}}`] = ['count>=0'];
    thresholds[`dropped_iterations{scenario:${name}}`] = ['count>=0'];
  }
  return thresholds;
}

function executorOptions(executor) {
  switch (executor.type) {
    case 'constant-vus':
      return {
        executor: executor.type,
        vus: executor.vus,
        duration: duration(executor.duration_ns),
      };
    case 'ramping-vus':
      return {
        executor: executor.type,
        startVUs: executor.start_vus,
        stages: stages(executor.stages),
        gracefulRampDown: duration(executor.graceful_ramp_down_ns),
      };
    case 'constant-arrival-rate':
      return {
        executor: executor.type,
        rate: executor.rate,
        timeUnit: duration(executor.time_unit_ns),
        duration: duration(executor.duration_ns),
        preAllocatedVUs: executor.pre_allocated_vus,
        maxVUs: executor.max_vus,
      };
    case 'ramping-arrival-rate':
      return {
        executor: executor.type,
        startRate: executor.start_rate,
        timeUnit: duration(executor.time_unit_ns),
        stages: stages(executor.stages),
        preAllocatedVUs: executor.pre_allocated_vus,
        maxVUs: executor.max_vus,
      };
    default:
      // per-vu-iterations and shared-iterations; `whyNot` has refused all others.
      return {
        executor: executor.type,
        vus: executor.vus,
        iterations: executor.iterations,
        maxDuration: duration(executor.max_duration_ns),
      };
  }
}

function stages(list) {
  return list.map(({ duration_ns, target }) => ({ duration: duration(duration_ns), target }));
}

/** What k6 has against an executor (measured on k6 1.1), or null. */
function whyNot(executor) {
  switch (executor.type) {
    case 'constant-vus':
      return needs(executor.vus, 'VU') || tooShort(executor.duration_ns, 'duration');
    case 'ramping-vus':
      return needs(most(executor.start_vus, executor.stages), 'VU');
    case 'constant-arrival-rate':
      return (
        needs(executor.rate, 'iteration a time unit') ||
        needs(executor.max_vus, 'VU') ||
        tooShort(executor.duration_ns, 'duration')
      );
    case 'ramping-arrival-rate':
      return needs(executor.max_vus, 'VU');
    case 'per-vu-iterations':
      return (
        needs(executor.vus, 'VU') ||
        needs(executor.iterations, 'iteration') ||
        tooShort(executor.max_duration_ns, 'maxDuration')
      );
    case 'shared-iterations':
      if (executor.iterations < executor.vus) {
        return `has fewer iterations (${executor.iterations}) than VUs (${executor.vus}): take fewer VUs`;
      }
      return needs(executor.vus, 'VU') || tooShort(executor.max_duration_ns, 'maxDuration');
    case 'externally-controlled':
      return 'takes its VUs from a flag, which k6 can\'t follow while it runs: take --engine rust';
    default:
      return `has the executor ${executor.type}, which this module does not know: take the one of your loadgen`;
  }
}

function refuse(name, reason) {
  if (reason !== null) throw new Error(`loadgen: k6 can't run this plan: scenario ${name} ${reason}`);
}

function needs(count, what) {
  return count >= 1 ? null : `needs at least one ${what}`;
}

function tooShort(ns, option) {
  if (ns >= SECOND_NS) return null;
  return `has a ${option} of ${ns / 1e6} ms, and k6 takes none below 1 s: use a larger --time-scale`;
}

function most(start, list) {
  return Math.max(start, ...list.map((stage) => stage.target));
}
