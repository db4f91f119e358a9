// Secrets of a plan, put in by the module.

import { secretOf, withSecrets } from '../secrets.js';
import { equal, run, throws } from './testing.js';

export { handleSummary, options } from './testing.js';

export default function () {
  run({
    'headers and bodies get them, and nothing else does': () => {
      const flow = {
        steps: [
          { headers: [['x-key', [{ text: 'Bearer ' }, { secret: { env: 'KEY' } }]]] },
          {
            headers: [],
            json: {
              object: [
                ['pin', { text: [{ secret: { file: 'pin' } }] }],
                ['deep', { array: [{ text: [{ text: 'a' }, { secret: { env: 'KEY' } }] }, { var: { slot: 0, pointer: '' } }] }],
                // What a body has as it stands is not a name.
                ['as_is', { value: { secret: { env: 'KEY' } } }],
              ],
            },
          },
        ],
      };
      const read = ({ env, file }) => `<${env || file}>`;
      const { steps } = withSecrets(flow, read);
      equal(steps[0].headers, [['x-key', [{ text: 'Bearer ' }, { text: '<KEY>' }]]]);
      equal(steps[1].json.object, [
        ['pin', { text: [{ text: '<pin>' }] }],
        ['deep', { array: [{ text: [{ text: 'a' }, { text: '<KEY>' }] }, { var: { slot: 0, pointer: '' } }] }],
        ['as_is', { value: { secret: { env: 'KEY' } } }],
      ]);
    },
    'from the environment': () => {
      equal(secretOf({ env: 'KEY' }, { KEY: 'value' }), 'value');
      throws(() => secretOf({ env: 'KEY' }, {}), 'environment variable KEY, which the plan names for a secret, is not set');
      throws(() => secretOf({ env: 'KEY' }, { KEY: '' }), 'is empty');
      throws(() => secretOf({ env: 'KEY' }, { KEY: 'a\nb' }), 'control character');
    },
    'from a file, without its last end of line': () => {
      for (const [text, secret] of [['a', 'a'], ['a\n', 'a'], ['a\r\n', 'a']]) {
        equal(secretOf({ file: 'pin' }, {}, () => text), secret);
      }
      throws(() => secretOf({ file: 'pin' }, {}, () => '\n'), 'the file pin, which');
    },
  });
}
