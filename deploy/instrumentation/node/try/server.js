// A service of ten lines: it logs, and asks the next one if there is one.
const express = require('express');
const log = require('pino')();
const app = express();
app.get('/', async (_request, response) => {
  log.info('asked');
  const next = process.env.NEXT && (await (await fetch(process.env.NEXT)).json());
  response.json({ service: 'node', next });
});
app.listen(process.env.PORT, '127.0.0.1');
