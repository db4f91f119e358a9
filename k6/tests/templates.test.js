// Templates: what goes into paths, headers and bodies; JSON Pointers.

import {
  compileHeader,
  compileJson,
  compilePath,
  encodeOwnText,
  follow,
  hasDots,
  headerValue,
  pointerTokens,
} from '../templates.js';
import { equal, run, throws } from './testing.js';

export { handleSummary, options } from './testing.js';

const text = (text) => ({ text });
const v = (slot, pointer = '') => ({ var: { slot, pointer } });

export default function () {
  run({
    'values are encoded for where they go': () => {
      const value = 'a/b ?&\u00e4\r\n~\'\u{1f980}';
      const encoded = 'a%2Fb%20%3F%26%C3%A4%0D%0A~%27%F0%9F%A6%80';
      const path = compilePath([text('/x/'), v(0), text('?q='), v(0)]);
      equal(path.fill([value]), `/x/${encoded}?q=${encoded}`);
      equal(compileHeader([text('v='), v(0)]).fill([value]), "v=a/b ?&?~'?");
      const json = compileJson({ object: [['t', { text: [text('is "'), v(0)] }]] });
      equal(json([value]), JSON.stringify({ t: `is "${value}` }));
    },
    'values that are not texts go in as JSON': () => {
      const path = compilePath([text('/'), v(0), text('/'), v(1), text('/'), v(2)]);
      equal(path.fill([712.0, { a: [1, null] }, false]), '/712/%7B%22a%22%3A%5B1%2Cnull%5D%7D/false');
    },
    'in JSON a hole that is a whole value keeps its type': () => {
      const json = compileJson({ array: [{ var: { slot: 0, pointer: '/n' } }, { value: { a: null } }] });
      equal(json([{ n: 2.5 }]), '[2.5,{"a":null}]');
    },
    'keys keep their order, whole numbers too': () => {
      const json = compileJson({ object: [['b', v(0)], ['7', { value: 1 }], ['a"', { value: '\u2028' }]] });
      equal(json([null]), '{"b":null,"7":1,"a\\"":"\u2028"}');
    },
    'empty collections and texts': () => {
      equal(compileJson({ object: [] })([]), '{}');
      equal(compileJson({ array: [] })([]), '[]');
      equal(compileJson({ text: [] })([]), '""');
      equal(compilePath([]).fill([]), '');
      equal(compileHeader([]).constant, '');
    },
    'a missing value is noticed everywhere': () => {
      equal(compilePath([text('/'), v(0)]).fill([undefined]), undefined);
      equal(compilePath([text('/'), v(0, '/a'), v(1)]).fill([{}, 1]), undefined);
      equal(compileHeader([v(0, '/a')]).fill([{ b: 1 }]), undefined);
      equal(compileJson({ array: [{ value: 1 }, v(0)] })([undefined]), undefined);
    },
    'null is a value': () => {
      equal(compilePath([text('/'), v(0)]).fill([null]), '/null');
    },
    'pointers': () => {
      const value = { 'a/b': { 'm~n': [1, [2, 3]] }, '': { '': 5 }, list: [10, 11], text: 'abc', n: null };
      const at = (pointer) => follow(value, pointerTokens(pointer));
      equal(at(''), value);
      equal(at('/a~1b/m~0n/1/0'), 2);
      equal(at('//'), 5);
      equal(at('/list/1'), 11);
      equal(at('/n'), null);
      for (const pointer of [
        'list', '/list/01', '/list/+1', '/list/-', '/list/2', '/list/length', '/list/1.0', '/text/0',
        '/text/length', '/n/x', '/toString', '/nope', '/a~1b/m~0n/1/0/0',
      ]) {
        equal(at(pointer), undefined, pointer);
      }
      equal(follow(JSON.parse('{"__proto__":{"p":1}}'), pointerTokens('/__proto__/p')), 1);
      equal(follow({}, pointerTokens('/__proto__')), undefined);
      // `~01` is `~1`, not a slash.
      equal(follow({ '~1': 1 }, pointerTokens('/~01')), 1);
    },
    'header values are printable ASCII on one line': () => {
      equal(headerValue('\u00a0 slow\r\nx-evil: 1, gr\u00fcn \u{1f980}\u0007\u3000'), 'slow  x-evil: 1, gr?n ??');
      equal(headerValue('\ufeffx'), '?x');
      equal(headerValue('a\u0085'), 'a');
    },
    'control characters of a value are left out of a header, its own blanks stay': () => {
      equal(compileHeader([text('a '), v(0), text(' b')]).fill(['x\ty\u0085z']), 'a xyz b');
    },
    'own text of a path is sent as a URL parser would': () => {
      equal(encodeOwnText("/a b/\u00e4/'%41", false), "/a%20b/%C3%A4/'%41");
      equal(encodeOwnText("q='a'&b=?/\u{1f980}", true), 'q=%27a%27&b=?/%F0%9F%A6%80');
      equal(compilePath([text("/it's?q='"), v(0), text("'?")]).fill(['x']), "/it's?q=%27x%27?");
      throws(() => compilePath([text('/100%')]), 'stray %');
      equal(compilePath([text('/a?p=100%')]).fill([]), '/a?p=100%');
    },
    'dots that are a whole segment are found': () => {
      for (const path of ['/.', '/..', '/a/./b', '/a/../b', '/a/.?q', '/%2e', '/a/%2E./b', '/a/.%2e']) {
        equal(hasDots(path), true, path);
      }
      for (const path of ['/', '/...', '/a.b', '/.a/..b', '/a?x=/../', '/a/%2ea', '/a//b']) {
        equal(hasDots(path), false, path);
      }
    },
    'paths that can have no dots are not looked at': () => {
      equal(compilePath([text('/a/b?x='), v(0)]).mayHaveDots, false);
      equal(compilePath([text('/a/'), v(0)]).mayHaveDots, true);
    },
  });
}
