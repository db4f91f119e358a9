// A service of ten lines, also for Node 14: it logs, and asks the next one if there is one.
const express = require('express');
const http = require('http');
const log = require('pino')();
const app = express();
app.use(express.json());
app.get('/', (_request, response) => {
  log.info('asked');
  response.type('json');
  if (!process.env.NEXT) return response.send('{"service": "node", "next": null}');
  response.write('{"service": "node", "next": ');
  http.get(process.env.NEXT, (next) => next.on('data', (part) => response.write(part))
    .on('end', () => response.end('}'))).on('error', (error) => response.destroy(error));
});
app.listen(process.env.PORT, '127.0.0.1');
