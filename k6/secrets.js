// Secrets that a plan names and does not hold: from k6's environment and from files. As in
// crates/scenario/src/secrets.rs.

/**
 * Puts the secrets of a flow in, in place: each part `{secret: …}` of a header or of a JSON body
 * becomes the text that it names.
 *
 * @param {object} flow of a plan.
 * @param {function} read gives the text of `{env: NAME}` or `{file: PATH}`.
 * @returns the flow.
 */
export function withSecrets(flow, read) {
  for (const step of flow.steps) {
    for (const [, parts] of step.headers || []) fill(parts, read);
    if (step.json) fillJson(step.json, read);
  }
  return flow;
}

function fill(parts, read) {
  parts.forEach((part, at) => {
    if (part.secret) parts[at] = { text: read(part.secret) };
  });
}

function fillJson(body, read) {
  if (body.text) fill(body.text, read);
  else if (body.array) body.array.forEach((item) => fillJson(item, read));
  else if (body.object) body.object.forEach(([, entry]) => fillJson(entry, read));
}

/**
 * Reads a secret, which is one line.
 *
 * @param {{env?: string, file?: string}} source where it is.
 * @param {object} environment k6's `__ENV`.
 * @param {function} readFile gives the text of a file, whose last end of line is left out.
 */
export function secretOf({ env, file }, environment, readFile) {
  const what = env === undefined ? `the file ${file}` : `the environment variable ${env}`;
  const secret = env === undefined ? readFile(file).replace(/\n$/, '').replace(/\r$/, '') : environment[env];
  let problem;
  if (secret === undefined) problem = 'is not set';
  else if (secret === '') problem = 'is empty';
  else if (/[\u0000-\u001f\u007f-\u009f]/.test(secret)) problem = 'holds a control character; it must be one line';
  if (problem) throw new Error(`loadgen: ${what}, which the plan names for a secret, ${problem}`);
  return secret;
}
