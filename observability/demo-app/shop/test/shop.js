import { createServer } from 'node:http';
import { createApp } from '../src/app.js';
import { createLog } from '../src/log.js';

/** A shop that listens; `lines` are what it logged. Closed after the test `t`. */
export async function openShop(t, options = {}) {
  const lines = [];
  const log = createLog((line) => lines.push(JSON.parse(line)));
  const server = createServer(createApp({ log, ...options }));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const base = `http://127.0.0.1:${server.address().port}`;

  return {
    lines,
    async send(method, path, body) {
      const response = await fetch(base + path, {
        method,
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const json = response.headers.get('content-type') === 'application/json';
      return { status: response.status, body: json ? JSON.parse(text) : text };
    },
  };
}
