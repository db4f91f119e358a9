// What a script exports to replay a plan.

import { baseUrl } from './target.js';
import { checkScenarios, part, runId, summary, waitForStart } from './run.js';
import { compactJson, logRun } from './log.js';
import { journey } from './journey.js';
import { loadPlan } from './plan.js';
import { planOptions, sends } from './options.js';

/**
 * What a k6 script exports to replay a plan that `loadgen plan FILE --format json` made. Call it at
 * init, outside of any function.
 *
 * @param {object} [settings]
 * @param {string} [settings.plan] path of the plan; the variable LOADGEN_PLAN.
 * @param {string} [settings.baseUrl] where the requests go; the variable BASE_URL, else the plan.
 * @returns {{options: object, setup: function, iteration: function, handleSummary: function}}
 */
export function replay(settings = {}) {
  const plan = loadPlan(settings.plan || __ENV.LOADGEN_PLAN);
  const target = baseUrl(settings.baseUrl || __ENV.BASE_URL, plan.withoutFlows.target);
  const names = plan.withoutFlows.scenarios.filter(sends).map((scenario) => scenario.name);
  const id = runId();
  return {
    // k6 asks for them once, and not in a VU.
    options: plan.whole === null ? {} : planOptions(plan.whole),
    setup() {
      checkScenarios(names);
      const json = planJson(plan);
      waitForStart();
      logRun(id, target.url, json, part());
    },
    iteration: journey(plan, target, id),
    handleSummary: (data) => summary(data, names),
  };
}

/** The plan for the log: compact, and without the credentials that its base URL may have. */
function planJson(plan) {
  const json = compactJson(plan.text);
  const given = plan.withoutFlows.target.base_url;
  if (given === undefined) return json;
  return json.replace(JSON.stringify(given), () => JSON.stringify(baseUrl('', plan.withoutFlows.target).url));
}
