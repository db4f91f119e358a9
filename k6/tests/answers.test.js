// Which answers are JSON for loadgen: neither more nor fewer than for the Rust engine.

import { parseAnswer, utf8Length } from '../answers.js';
import { equal, run } from './testing.js';

export { handleSummary, options } from './testing.js';

const parse = (text, bytes = NaN) => parseAnswer(text, bytes);
const nested = (levels) => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;

export default function () {
  run({
    'plain answers': () => {
      equal(parse('{"a":[1,"x"]}'), { a: [1, 'x'] });
      equal(parse(' 7.50 '), 7.5);
      equal(parse('null'), null);
    },
    'what is no JSON at all': () => {
      for (const text of ['', '<html>', '{"a":1} x', '{"a":1,}', '{"a":01}', '{"a":NaN}', '\ufeff{}', '\u000b{}', "{'a':1}"]) {
        equal(parse(text), undefined, text);
      }
    },
    'numbers beyond all doubles': () => {
      const nines = '9'.repeat(400);
      for (const number of ['1e400', '-1E+400', nines, `[${nines}]`, `1${'0'.repeat(309)}`, '{"a":[{"b":1e309}]}']) {
        equal(parse(number), undefined, number.slice(0, 20));
      }
      equal(parse(`[${'7'.repeat(300)}]`), [Number('7'.repeat(300))]);
      equal(parse('[1e-400,"3e999"]'), [0, '3e999']);
    },
    'halves of surrogate pairs': () => {
      for (const text of ['"\\ud800"', '"\\uDC00\\uD800"', '{"\\udfff":1}', '"\\\\\\ud800"', '"\\ud83ex\\udd80"']) {
        equal(parse(text), undefined, text);
      }
      equal(parse('"\\ud83e\\udd80"'), '\u{1f980}');
      equal(parse('"\\\\ud800"'), '\\ud800');
      equal(parse('"\\\\\\\\ud800 \\u00e4"'), '\\\\ud800 \u00e4');
    },
    'nesting': () => {
      equal(parse(nested(128)), undefined);
      equal(parse(nested(127)) === undefined, false);
      const wide = `[${'[],'.repeat(500)}{}]`;
      equal(parse(wide).length, 501);
    },
    'bytes that are not UTF-8 show in the length': () => {
      equal(parse('"\ufffd"', 3), undefined);
      equal(parse('"\ufffd"', 5), '\ufffd');
      // An answer that announces no length is believed.
      equal(parse('"\ufffd"'), '\ufffd');
    },
    'lengths in UTF-8': () => {
      for (const [text, bytes] of [['', 0], ['a%b', 3], ['\u00e4', 2], ['\u20ac', 3], ['\u{1f980}', 4]]) {
        equal(utf8Length(text), bytes, text);
      }
    },
    'answers that are too long': () => {
      const limit = 16 * 1024 * 1024;
      equal(parse(`"${'x'.repeat(limit - 2)}"`).length, limit - 2);
      equal(parse(`"${'x'.repeat(limit - 1)}"`), undefined);
      // Not with `repeat`, which in k6 1.1 gives one too few of what is not ASCII.
      const euros = 'x'.repeat(limit / 3).replaceAll('x', '\u20ac');
      equal(parse(`"${euros}"`), undefined);
      equal(parse(`"${euros.slice(1)}"`).length, euros.length - 1);
    },
  });
}
