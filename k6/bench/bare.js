// k6 alone, as anybody would write it: what cost.js asks for, with the four labels as headers.

import http from 'k6/http';

const params = {
  headers: {
    'x-anomaly-type': 'none',
    'x-anomaly-label': 'normal',
    'x-anomaly-root-cause': 'none',
    'x-anomaly-msg': 'Normal operation',
  },
};

export const options = { vus: 50, duration: '10s' };

export default function () {
  http.get(`${__ENV.BASE_URL}/?sku=7`, params);
}

export function handleSummary(data) {
  return { stdout: `${data.metrics.http_reqs.values.count}\n` };
}
