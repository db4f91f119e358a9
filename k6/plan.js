// The plan of a replay: found, read once, and shared by all VUs.

import { SharedArray } from 'k6/data';
import { secretOf, withSecrets } from './secrets.js';

const PLAN_SCHEMA_VERSION = 1;

/** The text of the plan's file. */
function readPlan(path) {
  if (!path) {
    throw new Error(
      'loadgen: say which plan to replay: -e LOADGEN_PLAN=plan.json ' +
        '(`loadgen plan FILE --format json` makes one)',
    );
  }
  return readFile(path, 'the plan');
}

/**
 * The text of a file. A path that is not absolute is looked up in the working directory and then
 * beside this module, where a flat folder (a ConfigMap) has it.
 */
function readFile(path, what) {
  const places = [];
  if (/^(file:|([A-Za-z]:)?[\\/])/.test(path)) places.push(path);
  else {
    // k6 itself knows no working directory; shells say it here.
    if (__ENV.PWD) places.push(`${__ENV.PWD}/${path}`);
    places.push(import.meta.resolve(`./${path}`));
  }
  let problem;
  for (const place of places) {
    try {
      return open(place);
    } catch (error) {
      problem = error;
    }
  }
  throw new Error(`loadgen: can't read ${what} ${path}, looked for at ${places.join(' and ')}: ${problem}`);
}

function parsePlan(path, text) {
  let plan;
  try {
    plan = JSON.parse(text);
  } catch (error) {
    throw new Error(`loadgen: ${path} is not JSON (${error.message}): use \`loadgen plan FILE --format json\``);
  }
  if (plan === null || typeof plan !== 'object' || !Array.isArray(plan.scenarios)) {
    throw new Error(`loadgen: ${path} is not a plan: use \`loadgen plan FILE --format json\``);
  }
  if (plan.schema_version !== PLAN_SCHEMA_VERSION) {
    throw new Error(
      `loadgen: ${path} has schema_version ${plan.schema_version}, and this module reads ` +
        `${PLAN_SCHEMA_VERSION}: take loadgen and its k6 folder of one version`,
    );
  }
  return plan;
}

function secret(source) {
  return secretOf(source, __ENV, (path) => readFile(path, 'the secret'));
}

/**
 * Loads a plan; at init only.
 *
 * @returns `{withoutFlows, flows(), text, whole}`: the plan without its flows, the flows parsed anew
 *   with their secrets, and, outside of VUs only (they don't need them), the file's text and the
 *   plan with its flows.
 */
export function loadPlan(path) {
  // Read for the first VU only. What is shared is text: k6 freezes shared objects whenever they are
  // read, which takes longer than to parse them and makes them several times as large.
  let plan;
  const once = () => (plan = plan || parsePlan(path, readPlan(path)));
  const shared = new SharedArray('loadgen plan', () => [JSON.stringify({ ...once(), flows: [] })]);
  const flows = new SharedArray('loadgen flows', () =>
    once().flows.map((flow) => JSON.stringify(withSecrets(flow, secret))),
  );
  // __VU is 0 where k6 reads the options, and in setup() and handleSummary().
  const text = __VU === 0 ? readPlan(path) : null;
  return {
    withoutFlows: JSON.parse(shared[0]),
    flows: () => Array.from(flows, (flow) => JSON.parse(flow)),
    text,
    whole: text === null ? null : parsePlan(path, text),
  };
}
