// Ground truth for somebody's own k6 script: labels on its requests, and the event log of a replay.

import { labelHeaders } from './headers.js';
import { logOpen, logRun, vuLog } from './log.js';
import { countingThresholds, scenarioTags } from './options.js';
import { Place } from './place.js';
import { scenariosOf, scriptPlan, symptomInLabel } from './scriptplan.js';
import { named, stampedHttp } from './stamp.js';
import { checkScenarios, part, runId, summary, waitForStart } from './run.js';
import { parseBaseUrl } from './target.js';

/**
 * Makes a script of your own write loadgen's ground truth. Call it at init, outside of any function.
 *
 * @param {object} settings
 * @param {object} settings.options k6's options, with `scenarios` or one of k6's shortcuts.
 * @param {object} [settings.anomalies] what each scenario is labelled with, by its name: `{type,
 *   symptom, root_cause, msg, root_cause_service}`. A scenario that is not named is normal.
 * @param {string} [settings.baseUrl] where the requests go, for the record; the variable BASE_URL.
 * @param {string} [settings.name] name of the run.
 * @param {string} [settings.script] file name of the script, for the record.
 * @param {function} [settings.expected] whether an answer counts as success; default: status 200
 *   to 399, as k6's.
 * @returns {{options: object, setup: function, iteration: function, http: object,
 *   handleSummary: function}}
 */
export function groundTruth({ options, anomalies = {}, baseUrl, name = 'k6', script, expected }) {
  const url = parseBaseUrl(baseUrl || __ENV.BASE_URL || missingBaseUrl()).url;
  const scenarios = scenariosOf(options);
  const plan = scriptPlan({ name, file: script || `${name}.js`, url, scenarios, anomalies });
  for (const scenario of Object.keys(anomalies)) {
    if (scenarios[scenario] === undefined) {
      throw new Error(`loadgen: anomalies speaks of ${scenario}, and there is no such scenario`);
    }
  }
  const names = plan.scenarios.map((scenario) => scenario.name);
  const id = runId();
  const recorder = recorderOf(plan, id);
  return {
    options: tagged(options, scenarios, plan),
    setup() {
      checkScenarios(names);
      warnOfOldLabels(anomalies);
      const json = JSON.stringify(plan);
      waitForStart();
      logRun(id, url, json, part());
    },
    iteration: recorder.iteration,
    http: stampedHttp(recorder.current, expected || isExpected),
    handleSummary: (data) => summary(data, names),
  };
}

function warnOfOldLabels(anomalies) {
  for (const [scenario, anomaly] of Object.entries(anomalies)) {
    const symptom = anomaly ? symptomInLabel(anomaly) : null;
    if (symptom !== null) {
      console.warn(
        `loadgen: the label of scenario ${scenario} is anomalous, ${symptom} is taken for its symptom: ` +
          `write symptom: '${symptom}' instead of label: '${symptom}'`,
      );
    }
  }
}

function missingBaseUrl() {
  throw new Error('loadgen: groundTruth needs to know where the requests go: baseUrl, or -e BASE_URL=http://…');
}

function isExpected({ status }) {
  return status >= 200 && status < 400;
}

/** The options with what the ground truth needs of them: tags, and counts by scenario. */
function tagged(options, scenarios, plan) {
  const { vus, duration, iterations, stages, ...others } = options;
  const all = {};
  for (const planned of plan.scenarios) {
    all[planned.name] = { ...scenarios[planned.name], tags: scenarioTags(planned) };
  }
  const thresholds = countingThresholds(Object.keys(all));
  for (const [metric, theirs] of Object.entries(options.thresholds || {})) {
    thresholds[metric] = (thresholds[metric] || []).concat(theirs);
  }
  return { ...others, scenarios: all, thresholds };
}

/** Knows, in one VU, which iteration is running. */
function recorderOf(plan, runId) {
  const indices = new Map(plan.scenarios.map((scenario, index) => [scenario.name, index]));
  const labels = plan.scenarios.map((scenario) => labelHeaders(scenario.anomaly, runId));
  const place = new Place();
  let log = null;
  let latestScenario = -1;
  // The iteration whose function is wrapped and has not come back; the latest that is not wrapped.
  let running = null;
  let loose = null;

  /** A record of the iteration at `place`. */
  function start(flow) {
    const scenario = indices.get(place.name);
    if (scenario !== latestScenario) {
      latestScenario = scenario;
      if (place.isFirst()) logOpen(scenario, place.startMs());
    }
    const planned = plan.scenarios[scenario];
    if (log === null) log = vuLog();
    return {
      log,
      vu: place.vu,
      name: place.name,
      scenario,
      number: place.number,
      flow: named(flow || plan.flows[planned.exec[0].flow].name),
      labels: labels[scenario],
      // Requests begun; keys given to those that share the VU; those still on their way.
      sent: 0,
      parts: 0,
      pending: 0,
      interrupted: false,
      over: false,
      settled() {
        this.pending -= 1;
        if (this.over && this.pending === 0) logEnding(this);
      },
    };
  }

  function end(iteration) {
    iteration.over = true;
    if (running === iteration) running = null;
    if (iteration.pending === 0) logEnding(iteration);
  }

  return {
    current() {
      if (running !== null) return running;
      try {
        place.find();
      } catch {
        // setup() or teardown(), where k6 has no scenario to speak of.
        return null;
      }
      // An iteration that is not wrapped: its requests are labelled all the same.
      const isNew = loose === null || loose.number !== place.number || loose.name !== place.name;
      if (isNew) loose = start();
      return loose;
    },

    iteration(run, flow) {
      return function iterate(...args) {
        place.find();
        const iteration = start(flow);
        running = iteration;
        let result;
        try {
          result = run.apply(this, args);
        } catch (error) {
          end(iteration);
          throw error;
        }
        if (result === null || typeof result !== 'object' || typeof result.then !== 'function') {
          end(iteration);
          return result;
        }
        return result.then(
          (value) => {
            end(iteration);
            return value;
          },
          (error) => {
            end(iteration);
            throw error;
          },
        );
      };
    },
  };
}

function logEnding({ log, vu, scenario, number, sent, interrupted }) {
  // One that k6 broke off has not come to its end.
  if (interrupted) return;
  if (sent === 0) log.emptyIteration(scenario, number);
  else log.iterationEnd(vu);
}
