// Where redirects lead to.

import { hostOf, originOf, redirectTo } from '../redirects.js';
import { equal, run } from './testing.js';

export { handleSummary, options } from './testing.js';

export default function () {
  run({
    'addresses are made whole': () => {
      const from = 'http://h:8080/a/b?c=d';
      for (const [location, to] of [
        ['/x', 'http://h:8080/x'],
        ['x?y', 'http://h:8080/a/x?y'],
        ['../x/./y', 'http://h:8080/x/y'],
        ['..', 'http://h:8080/'],
        ['?z', 'http://h:8080/a/b?z'],
        ['//other/x', 'http://other/x'],
        ['https://other:1/x#f', 'https://other:1/x'],
        ['ftp://h/x', null],
      ]) {
        equal(redirectTo(302, location, from), to, location);
      }
    },
    'other answers are no redirects': () => {
      for (const status of [200, 300, 304, 305, 404]) equal(redirectTo(status, '/x', 'http://h/'), null, status);
      equal(redirectTo(302, undefined, 'http://h/'), null);
      equal(redirectTo(302, '', 'http://h/'), null);
    },
    'an origin has the port that its scheme implies': () => {
      equal(originOf('HTTP://u:p@Shop.example/x'), 'http://shop.example:80');
      equal(originOf('https://shop.example?x'), 'https://shop.example:443');
      equal(originOf('http://[::1]:8080/'), 'http://[::1]:8080');
      equal(originOf('nothing'), undefined);
    },
    'the host is what stands before the port': () => {
      equal(hostOf('http://u:p@Shop.example:8080/x'), 'shop.example');
      equal(hostOf('http://[::1]:80/'), '[::1]');
      equal(hostOf('nothing'), undefined);
    },
  });
}
