// Seeded choices against docs/prng-vectors.json, which the Rust implementation is tested against too.

import { Prng, block } from '../prng.js';
import { encodeForPath } from '../templates.js';
import { equal, run } from './testing.js';

export { handleSummary, options } from './testing.js';

const vectors = JSON.parse(open('../../docs/prng-vectors.json'));

export default function () {
  run({
    'known answers of Threefry-2x32': () => {
      for (const { key, counter, words } of vectors.threefry2x32) {
        equal(block(key, counter), words, key);
      }
    },
    'streams and draws': () => {
      for (const { seed, scenario, key, draws } of vectors.streams) {
        const prng = new Prng(seed, scenario);
        equal([prng.key0, prng.key1], key, `key of ${seed} ${scenario}`);
        for (const draw of draws) {
          const { iteration: i, site: s } = draw;
          const drawn = {
            iteration: i,
            site: s,
            words: prng.words(i, s),
            unit: prng.unit(i, s),
            index_9: prng.index(i, s, 9),
            index_2097152: prng.index(i, s, 2 ** 21),
            range_1_6: prng.range(i, s, 1, 6),
            range_wide: prng.range(i, s, -1e12, 8e15),
            hex_5: prng.hex(i, s, 5),
            hex_16: prng.hex(i, s, 16),
            uuid: prng.uuid(i, s),
          };
          equal(drawn, draw, `${seed} ${scenario}`);
        }
      }
    },
    'values in paths': () => {
      for (const { text, encoded } of vectors.encode_for_path) equal(encodeForPath(text), encoded);
    },
    'numbers as JavaScript writes them': () => {
      for (const { json, text } of vectors.numbers) {
        equal(String(JSON.parse(json)), text, json);
        equal(JSON.stringify([JSON.parse(json)]), `[${text}]`, json);
      }
    },
  });
}
