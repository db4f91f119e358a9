// The shop's edge. It keeps nothing: each answer is made from what the other two services say.
'use strict';

const express = require('express');
const pino = require('pino');

const CATALOGUE = process.env.CATALOGUE_URL;
const ORDERS = process.env.ORDERS_URL;
const PORT = Number(process.env.PORT);
// Longer than the limits of the services behind, so that their own answer is what people see.
const TIMEOUT_MS = 5000;

const log = pino({ name: 'front' });

/** What a service behind the edge answered, or why it did not. */
async function ask(base, path, options = {}) {
  const headers = { accept: 'application/json', ...options.headers };
  if (options.json) headers['content-type'] = 'application/json';
  try {
    const answer = await fetch(base + path, {
      method: options.method ?? 'GET',
      headers,
      body: options.json && JSON.stringify(options.json),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { status: answer.status, body: await answer.json() };
  } catch (error) {
    const status = error.name === 'TimeoutError' ? 504 : 502;
    const why = error.cause?.code ?? error.cause?.message ?? error.message;
    return { status, body: { error: `no answer from ${base}: ${why}` } };
  }
}

/** Sends an answer on, and writes down how it went. */
function send(request, response, { status, body }) {
  const line = { method: request.method, path: request.path, status };
  if (status >= 500) log.error({ ...line, error: body.error }, 'request failed');
  else log.info(line, 'request done');
  response.status(status).json(body);
}

/** The session that a cookie names, as a header for the service that knows sessions. */
function session(request) {
  const found = /(?:^|;\s*)session=([0-9a-f-]+)/.exec(request.headers.cookie ?? '');
  return found ? { 'x-session': found[1] } : {};
}

const app = express();
app.use(express.json());

app.get('/health', (_request, response) => response.json({ status: 'up' }));

app.get('/', async (request, response) => {
  const { status, body } = await ask(CATALOGUE, '/products');
  const page = status === 200 ? { products: body.length, featured: body.slice(0, 3) } : body;
  send(request, response, { status, body: page });
});

app.get('/products', async (request, response) => {
  send(request, response, await ask(CATALOGUE, '/products'));
});

app.get('/products/:sku', async (request, response) => {
  const sku = encodeURIComponent(request.params.sku);
  send(request, response, await ask(CATALOGUE, `/products/${sku}`));
});

app.get('/search', async (request, response) => {
  const words = encodeURIComponent(request.query.q ?? '');
  send(request, response, await ask(CATALOGUE, `/search?q=${words}`));
});

app.post('/login', async (request, response) => {
  const json = { customer: request.body?.customer };
  const answer = await ask(ORDERS, '/sessions', { method: 'POST', json });
  if (answer.status === 201) {
    response.cookie('session', answer.body.session, { httpOnly: true, sameSite: 'strict' });
    answer.body = { customer: answer.body.customer };
  }
  send(request, response, answer);
});

app.post('/orders', async (request, response) => {
  const { sku, quantity } = request.body ?? {};
  const order = { method: 'POST', json: { sku, quantity }, headers: session(request) };
  send(request, response, await ask(ORDERS, '/orders', order));
});

app.get('/orders', async (request, response) => {
  send(request, response, await ask(ORDERS, '/orders', { headers: session(request) }));
});

const server = app.listen(PORT, '127.0.0.1', (error) => {
  if (error) throw error;
  log.info({ port: PORT }, 'front is up');
});

// The instrumentation sends what it still has when the loop is empty.
process.once('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
