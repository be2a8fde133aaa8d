import { createServer } from 'node:http';
import { createApp } from './app.js';
import { createLog } from './log.js';

const { PORT = '3000', CHAOS } = process.env;
const log = createLog((line) => process.stdout.write(`${line}\n`));
const server = createServer(createApp({ log, withChaos: CHAOS === '1' }));

server.listen(Number(PORT), () => log('info', 'Shop is open', { port: server.address().port }));

let closing = false;
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    if (closing) return;
    closing = true;
    log('info', 'Shop closes when the running requests have ended', { signal });
    server.close(() => process.exit(0));
  });
}
// A connection that is kept alive would keep the closed server waiting.
server.on('request', (_request, response) => {
  response.once('finish', () => closing && setImmediate(() => server.closeIdleConnections()));
});
