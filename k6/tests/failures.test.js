// What k6's error codes are in the ledger's words.

import { thrownFailure, transportFailure } from '../failures.js';
import { pathOf, named } from '../stamp.js';
import { equal, run } from './testing.js';

export { handleSummary, options } from './testing.js';

export default function () {
  run({
    'codes of k6': () => {
      for (const [code, text, failure] of [
        [1000, 'unexpected EOF', 'io'],
        [1000, 'context canceled', 'interrupted'],
        [1020, 'invalid URL', 'request'],
        [1101, 'lookup: no such host', 'connect'],
        [1201, 'broken pipe', 'io'],
        [1212, 'dial: connection refused', 'connect'],
        [1220, 'reset by peer', 'io'],
        [1311, 'x509: certificate has expired', 'connect'],
      ]) {
        equal(transportFailure(code, text, 3, 60000), failure, code);
      }
    },
    'a timeout before its time is an interruption': () => {
      equal(transportFailure(1050, 'request timeout', 1999, 5000), 'interrupted');
      equal(transportFailure(1050, 'request timeout', 5001, 5000), 'timeout');
      equal(transportFailure(1050, 'request timeout', 4999, 5000), 'timeout');
    },
    'what k6 throws': () => {
      const failure = (text) => thrownFailure(text, 5000, 5000);
      equal(failure('GoError: Get "http://h/": dial tcp 127.0.0.1:1: connect: connection refused'), 'connect');
      equal(failure('GoError: Get "http://h/": request timeout'), 'timeout');
      equal(failure('GoError: Get "h": unsupported protocol scheme ""'), 'request');
      equal(failure('GoError: Get "http://h/": context canceled'), 'interrupted');
      equal(failure('GoError: Get "http://h/": unexpected EOF'), 'io');
    },
    'path and query of an address': () => {
      for (const [address, path] of [
        ['http://h:8080/a/b?c=d', '/a/b?c=d'],
        ['http://h', '/'],
        ['http://h?x=1', '/?x=1'],
        ['https://u:p@h/a b#f', '/a%20b'],
        ['http://h/\u00e4\n?\u{1f980}', '/%C3%A4%0A?%F0%9F%A6%80'],
      ]) {
        equal(pathOf(address), path, address);
      }
    },
    'names in lines have no blanks': () => {
      equal(named('GET /a b'), '=GET%20%2Fa%20b');
      equal(named(7), '=7');
    },
  });
}
