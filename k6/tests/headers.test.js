// Headers, ids and the base URL.

import { labelHeaders, newTraceId, scenarioHeaders, spanIdOf, traceparent } from '../headers.js';
import { baseUrl, hidden, parseBaseUrl } from '../target.js';
import { equal, run, throws } from './testing.js';

export { handleSummary, options } from './testing.js';

const RUN_ID = '0123456789abcdef'.repeat(2);

const anomaly = (msg) => ({
  type: 'latency_spike',
  label: 'anomalous',
  root_cause: 'slow_database_query',
  msg,
  root_cause_service: null,
});

export default function () {
  run({
    'a message cannot break out of its header': () => {
      const headers = labelHeaders(anomaly('slow\r\nx-evil: 1, gr\u00fcn="2"; %'), RUN_ID);
      equal(headers['x-anomaly-msg'], 'slow  x-evil: 1, gr?n="2"; %');
      equal(
        headers.baggage,
        'anomaly.type=latency_spike,anomaly.root_cause=slow_database_query,anomaly.label=anomalous,' +
          'anomaly.msg=slow%0D%0Ax-evil:%201%2C%20gr%C3%BCn=%222%22%3B%20%25,' +
          `loadgen.run_id=${RUN_ID}`,
      );
    },
    'all headers of a scenario': () => {
      equal(Object.keys(scenarioHeaders(anomaly(''), RUN_ID)).sort(), [
        'accept', 'baggage', 'user-agent', 'x-anomaly-label', 'x-anomaly-msg', 'x-anomaly-root-cause', 'x-anomaly-type',
      ]);
      equal(scenarioHeaders(anomaly(''), RUN_ID)['user-agent'], 'loadgen/0.1.0');
    },
    'ids are hexadecimal and new each time': () => {
      const seen = new Set();
      for (let i = 0; i < 1000; i++) {
        const traceId = newTraceId();
        const text = traceparent(traceId, spanIdOf(traceId));
        if (!/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/.test(text)) throw new Error(text);
        seen.add(traceId).add(spanIdOf(traceId));
      }
      equal(seen.size, 2000);
    },
    'the digits that consistent sampling goes by are even': () => {
      const bins = new Array(16).fill(0);
      for (let i = 0; i < 2000; i++) {
        for (const digit of newTraceId().slice(18)) bins[parseInt(digit, 16)] += 1;
      }
      // 1750 expected; five standard deviations are 203.
      equal(bins.every((count) => count > 1547 && count < 1953), true, bins);
    },
    'credentials are taken out of the base URL': () => {
      equal(parseBaseUrl('https://us%20er:p%40ss@shop.example/x/'), {
        url: 'https://shop.example/x',
        authorization: 'Basic dXMgZXI6cEBzcw==',
      });
      equal(parseBaseUrl('http://shop.example:8080/'), { url: 'http://shop.example:8080', authorization: null });
      equal(parseBaseUrl('http://@h').authorization, null);
    },
    'base URLs come out as a URL parser writes them': () => {
      equal(parseBaseUrl('HTTP://Shop.Example:80/A b').url, 'http://shop.example/A%20b');
      equal(parseBaseUrl('https://[::1]:443').url, 'https://[::1]');
      equal(parseBaseUrl('https://h:4430').url, 'https://h:4430');
    },
    'what is no base URL': () => {
      for (const text of ['shop.example', 'ftp://h', 'http://', 'http://h/?q', 'http://h/#f']) {
        throws(() => parseBaseUrl(text), 'not a base URL');
      }
      throws(() => parseBaseUrl('http://h/a/../b'), 'segment');
      equal(hidden('x://user:secret@h/p'), 'x://h/p');
      equal(hidden('user:secret@h'), 'h');
    },
    'the environment, else the plan, says where to go': () => {
      equal(baseUrl('http://a', { base_url: 'http://b' }).url, 'http://a');
      equal(baseUrl(undefined, { base_url: 'http://b' }).url, 'http://b');
      throws(() => baseUrl('', 'embedded'), 'BASE_URL');
    },
  });
}
