// What the tests here share. Each is a k6 script:
//
//   for test in k6/tests/*.test.js; do k6 run --no-usage-report --quiet "$test" || break; done
//
// k6 ends with a code other than 0 where one fails.

import { check } from 'k6';

export const options = {
  iterations: 1,
  // The second sees to it that the tests were run at all.
  thresholds: { checks: ['rate==1'], iterations: ['count==1'] },
};

/** Runs tests by name; one that throws has failed. */
export function run(tests) {
  for (const [name, test] of Object.entries(tests)) {
    let problem = null;
    try {
      test();
    } catch (error) {
      problem = error;
      console.error(`FAILED: ${name}\n${error.message || error}`);
    }
    check(problem, { [name]: (found) => found === null });
  }
}

/** Throws unless both are the same, value for value. */
export function equal(actual, expected, what = '') {
  const [a, e] = [show(actual), show(expected)];
  if (a !== e) throw new Error(`${what}\n  is        ${a.slice(0, 500)}\n  should be ${e.slice(0, 500)}`);
}

function show(value) {
  return value === undefined ? 'undefined' : JSON.stringify(value);
}

/** Throws unless the function throws an error whose message has that part. */
export function throws(run, part) {
  let message = null;
  try {
    run();
  } catch (error) {
    message = error.message;
  }
  if (message === null || !message.includes(part)) {
    throw new Error(`should throw an error with ${show(part)}, but: ${show(message)}`);
  }
}

export function handleSummary({ metrics }) {
  const { passes, fails } = metrics.checks.values;
  return { stdout: `${passes} passed, ${fails} failed\n` };
}
