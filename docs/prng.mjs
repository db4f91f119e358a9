// Test vectors of the seeded choices of docs/prng.md. The choices themselves are k6/prng.js, which
// runs here as it runs in k6. `node docs/prng.mjs docs/prng-vectors.json` checks it against the
// vectors; with `--write` it makes them.

import { readFileSync, writeFileSync } from 'node:fs';
import { Prng, block } from '../k6/prng.js';
import { encodeForPath } from '../k6/templates.js';

// Numbers of an answer, in the spellings that JSON allows; `text` is how each is sent on.
const numbers = [
  '0', '-0', '0.0', '7', '-7', '712.0', '1e2', '1E+2', '0.1', '0.10', '1.5e-3', '0.000001', '1e-7',
  '123456789012345680000', '1e21', '1.7976931348623157e308', '5e-324', '1e-400',
  '9007199254740991', '9007199254740992', '9007199254740993', '-9007199254740993',
  '18446744073709551615', '18446744073709551617', '-9223372036854775809', '0.30000000000000004',
];

function vectors() {
  const streams = [
    [0, ''],
    [0, 'baseline'],
    [42, 'baseline'],
    [42, 'latency_spike'],
    [2 ** 32, 'x'],
    [2 ** 53 - 1, 'caf\u00e9 \u{1f980}'],
  ];
  const counters = [[0, 0], [0, 1], [1, 0], [1, 1], [7, 3], [1000000, 12], [2 ** 32 - 1, 2 ** 32 - 1], [2 ** 32 + 5, 2]];
  return {
    threefry2x32: [
      [[0, 0], [0, 0]],
      [[0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff]],
      [[0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3]],
    ].map(([key, counter]) => ({ key, counter, words: block(key, counter) })),
    streams: streams.map(([seed, scenario]) => {
      const prng = new Prng(seed, scenario);
      return {
        seed,
        scenario,
        key: [prng.key0, prng.key1],
        draws: counters.map(([iteration, site]) => ({
          iteration,
          site,
          words: prng.words(iteration, site),
          unit: prng.unit(iteration, site),
          index_9: prng.index(iteration, site, 9),
          index_2097152: prng.index(iteration, site, 2 ** 21),
          range_1_6: prng.range(iteration, site, 1, 6),
          range_wide: prng.range(iteration, site, -1e12, 8e15),
          hex_5: prng.hex(iteration, site, 5),
          hex_16: prng.hex(iteration, site, 16),
          uuid: prng.uuid(iteration, site),
        })),
      };
    }),
    encode_for_path: ['RED', 'Artificial Intelligence', "a/b?c=d&e#f%'()*!~-._", 'caf\u00e9 \u{1f980}', 'a\r\nb'].map(
      (text) => ({ text, encoded: encodeForPath(text) }),
    ),
    numbers: numbers.map((json) => ({ json, text: String(JSON.parse(json)) })),
  };
}

const made = JSON.stringify(vectors(), null, 1) + '\n';
if (process.argv[3] === '--write') {
  writeFileSync(process.argv[2], made);
} else if (readFileSync(process.argv[2], 'utf8') !== made) {
  console.error('the test vectors differ');
  process.exit(1);
}
