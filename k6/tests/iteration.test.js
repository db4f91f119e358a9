// Iterations against a small plan made by hand, as in crates/scenario/src/iteration_tests.rs.

import {
  MISSING,
  SEND,
  SKIP,
  UNSENDABLE,
  Iteration,
  chooseFlow,
  compileFlow,
  matchesContentType,
  matchesStatus,
} from '../iteration.js';
import { Prng } from '../prng.js';
import { equal, run, throws } from './testing.js';

export { handleSummary, options } from './testing.js';

const text = (text) => ({ text });
const v = (slot, pointer = '') => ({ var: { slot, pointer } });

const step = (path, more = {}) => ({
  name: 'step',
  method: 'GET',
  path,
  headers: [],
  json: null,
  expect: { status: [[200, 299]], content_type: null },
  think_time: null,
  timeout_ns: 1,
  probability: null,
  draws: [],
  captures: [],
  ...more,
});

const capture = (slot, pointer, random_element = null) => ({ slot, pointer, random_element });

function start(variables, steps, number = 0) {
  const flow = compileFlow({ name: 'flow', variables, steps });
  const iteration = new Iteration();
  iteration.start(flow, new Prng(42, 'baseline'), number);
  return { iteration, steps: flow.steps };
}

export default function () {
  run({
    'captured values keep type and order and go into later steps': () => {
      const { iteration, steps } = start(['cart', 'item'], [
        step([text('/cart')], { captures: [capture(0, ''), capture(1, '/items', 3)] }),
        step([text('/pay/'), v(1, '/sku'), v(0, '/total')], {
          json: { array: [{ var: { slot: 0, pointer: '' } }, { value: { a: null } }] },
        }),
      ], 5);
      equal(iteration.prepare(steps[0]), SEND);
      const answer = '{"total":2,"items":[{"sku":"RED"}],"a":1.5}';
      equal(iteration.capture(steps[0], answer, NaN), true);
      equal(iteration.prepare(steps[1]), SEND);
      equal(iteration.path, '/pay/RED2');
      equal(iteration.body, `[${answer},{"a":null}]`);
    },
    'a capture that misses leaves the variable unset': () => {
      const { iteration, steps } = start(['id', 'one', 'there'], [
        step([text('/')], { captures: [capture(0, '/uuid'), capture(1, '/list', 1), capture(2, '/there')] }),
        step([text('/'), v(0)]),
        step([text('/'), v(1)]),
        step([text('/'), v(2)]),
      ]);
      iteration.prepare(steps[0]);
      equal(iteration.capture(steps[0], '{"there":true,"list":[]}', NaN), false);
      equal(iteration.prepare(steps[1]), MISSING);
      equal(iteration.prepare(steps[2]), MISSING);
      equal(iteration.prepare(steps[3]), SEND);
      equal(iteration.path, '/true');
      equal(iteration.capture(steps[0], '<html>', NaN), false);
    },
    'asking again unsets what the step captures': () => {
      const { iteration, steps } = start(['x'], [step([text('/')], { captures: [capture(0, '')] })]);
      iteration.prepare(steps[0]);
      iteration.capture(steps[0], '1', NaN);
      equal(iteration.values[0], 1);
      iteration.prepare(steps[0]);
      equal(iteration.values[0], undefined);
    },
    'a step may use what it captures anew': () => {
      const { iteration, steps } = start(['x'], [
        step([text('/')], { captures: [capture(0, '')] }),
        step([text('/'), v(0)], { captures: [capture(0, '')] }),
      ]);
      iteration.prepare(steps[0]);
      iteration.capture(steps[0], '7', NaN);
      equal(iteration.prepare(steps[1]), SEND);
      equal(iteration.path, '/7');
    },
    'chances and pauses follow the choices': () => {
      const prng = new Prng(42, 'baseline');
      const planned = step([text('/')], {
        probability: { chance: 0.3, site: 1 },
        think_time: { min_ns: 100, max_ns: 200, site: 2 },
      });
      let taken = 0;
      for (let number = 0; number < 1000; number++) {
        const { iteration, steps } = start([], [planned], number);
        const sends = iteration.prepare(steps[0]) === SEND;
        equal(sends, prng.unit(number, 1) < 0.3);
        taken += sends ? 1 : 0;
        equal(iteration.thinkTimeNs(steps[0]), prng.range(number, 2, 100, 200));
      }
      // 300 expected; five standard deviations are 72.
      equal(taken > 228 && taken < 372, true, taken);
    },
    'pauses without a choice, and none': () => {
      const { iteration, steps } = start([], [
        step([text('/')], { think_time: { min_ns: 5, max_ns: 5, site: 1 } }),
        step([text('/')]),
      ]);
      equal(iteration.thinkTimeNs(steps[0]), 5);
      equal(iteration.thinkTimeNs(steps[1]), 0);
    },
    'variables of a step that is left out are drawn all the same': () => {
      const { iteration, steps } = start(['n'], [
        step([text('/')], {
          probability: { chance: 0, site: 2 },
          draws: [{ slot: 0, choice: { range: [3, 3] }, site: 1 }],
        }),
        step([text('/'), v(0)]),
      ]);
      equal(iteration.prepare(steps[0]), SKIP);
      equal(iteration.prepare(steps[1]), SEND);
      equal(iteration.path, '/3');
    },
    'draws of every kind': () => {
      const prng = new Prng(42, 'baseline');
      const { iteration, steps } = start(['p', 'r', 'h', 'u'], [
        step([text('/'), v(0), text('/'), v(1), text('/'), v(2), text('/'), v(3)], {
          draws: [
            { slot: 0, choice: { pick: ['a', 'b', 'c'] }, site: 1 },
            { slot: 1, choice: { range: [-5, 5] }, site: 2 },
            { slot: 2, choice: { hex: 12 }, site: 3 },
            { slot: 3, choice: { uuid: 4 }, site: 4 },
          ],
        }),
      ], 9);
      iteration.prepare(steps[0]);
      equal(iteration.path, `/${'abc'[prng.index(9, 1, 3)]}/${prng.range(9, 2, -5, 5)}/${prng.hex(9, 3, 12)}/${prng.uuid(9, 4)}`);
    },
    'a flag is nothing that k6 can follow': () => {
      const draws = [{ slot: 0, choice: { flag: 0 }, site: 1 }];
      throws(() => start(['f'], [step([text('/')], { draws })]), '--engine rust');
    },
    'as many rounds as a variable says': () => {
      for (const [picked, taken] of [[0, 0], [2, 2], [9, 3], ['2', 0]]) {
        const draws = [{ slot: 0, choice: { pick: [picked] }, site: 1 }];
        const { iteration, steps } = start(['n'], [0, 1, 2].map((round) =>
          step([text('/')], { draws: round === 0 ? draws : [], rounds: [{ slot: 0, round }] }),
        ));
        equal(steps.filter((one) => iteration.prepare(one) === SEND).length, taken, picked);
      }
    },
    'baggage is encoded': () => {
      const { iteration, steps } = start(['x'], [
        step([text('/')], {
          draws: [{ slot: 0, choice: { pick: ['a,b=\u00e9; "c"\r\n'] }, site: 1 }],
          baggage: [['k', [text('v '), v(0)]], ['two', [text('2')]]],
        }),
      ]);
      equal(iteration.prepare(steps[0]), SEND);
      equal(iteration.baggage, ',k=v%20a%2Cb=%C3%A9%3B%20%22c%22,two=2');
    },
    'flows are chosen by weight at site 0': () => {
      const prng = new Prng(42, 'baseline');
      const exec = [{ flow: 1, weight: 3 }, { flow: 0, weight: 1 }];
      for (let number = 0; number < 500; number++) {
        equal(chooseFlow(exec, prng, number), prng.index(number, 0, 4) < 3 ? 1 : 0);
      }
      equal(chooseFlow([{ flow: 7, weight: 2 }], prng, 0), 7);
    },
    'a value that leads elsewhere is not sent': () => {
      const { iteration, steps } = start(['x'], [
        step([text('/a')], { captures: [capture(0, '')] }),
        step([text('/x/'), v(0), text('/y')]),
        step([text('/x?q=/'), v(0), text('/')]),
      ]);
      iteration.prepare(steps[0]);
      iteration.capture(steps[0], '".."', NaN);
      equal(iteration.prepare(steps[1]), UNSENDABLE);
      equal(iteration.path, '/x/../y');
      equal(iteration.prepare(steps[2]), SEND);
    },
    'headers that change and those that don\'t': () => {
      const { iteration, steps } = start(['x'], [
        step([text('/')], {
          headers: [['accept', [text('*/*')]], ['x-a', [text('v='), v(0)]]],
          draws: [{ slot: 0, choice: { range: [4, 4] }, site: 1 }],
        }),
        step([text('/')]),
      ]);
      iteration.prepare(steps[0]);
      equal(steps[0].headers.map((header) => header.constant), ['*/*', undefined]);
      equal(iteration.headers[1], 'v=4');
      iteration.prepare(steps[1]);
      equal(iteration.headers, null);
    },
    'each request says the cell of its client where the plan says so': () => {
      const flow = compileFlow({
        name: 'flow',
        variables: [],
        steps: [step([text('/')]), step([text('/')], { baggage: [['tenant', [text('a')]]] })],
      });
      const iteration = new Iteration();
      const prng = new Prng(42, 'baseline');
      for (const [number, cell] of [[0, 12], [1, 64], [4, 8], [4294967301, 66]]) {
        iteration.start(flow, prng, number, true);
        iteration.prepare(flow.steps[0]);
        equal(iteration.baggage, `,client.cell=${cell}`);
        iteration.prepare(flow.steps[1]);
        equal(iteration.baggage, `,client.cell=${cell},tenant=a`);
      }
      iteration.start(flow, prng, 0);
      iteration.prepare(flow.steps[0]);
      equal(iteration.baggage, '');
    },
    'statuses are inclusive ranges': () => {
      const expect = { status: [[200, 299], [404, 404]] };
      for (const [status, matches] of [[199, false], [200, true], [299, true], [300, false], [404, true]]) {
        equal(matchesStatus(expect, status), matches, status);
      }
    },
    'media types are compared without parameters': () => {
      const expect = { contentType: 'application/json' };
      for (const header of ['application/json', 'Application/JSON; charset=utf-8', 'application/json ;x']) {
        equal(matchesContentType(expect, header), true, header);
      }
      for (const header of [undefined, '', 'text/html', 'application/jsonx', 'application/problem+json']) {
        equal(matchesContentType(expect, header), false, header);
      }
      equal(matchesContentType({ contentType: null }, undefined), true);
    },
    'a template that can\'t be sent names its step': () => {
      throws(() => start([], [step([text('/100%')])]), 'flow flow, step step');
    },
  });
}
