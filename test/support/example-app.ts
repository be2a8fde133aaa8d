/** Files of small Node apps, to be deployed in tests. */
export type AppFiles = Record<string, string>;

/** Answers everything with `version`; `/slow` streams, `/die` ends it with 7, WebSockets are echoed. */
export const goodApp = (version: string): AppFiles => ({
  'package.json': JSON.stringify({ name: 'shop', version: '1.0.0', scripts: { start: 'node server.mjs' } }),
  'server.mjs': `
import { createServer } from 'node:http';
import { createHash } from 'node:crypto';
const server = createServer((request, response) => {
  if (request.url === '/health') return response.end('ok');
  if (request.url === '/die') return void response.end('bye', () => { console.log('dying'); process.exit(7); });
  if (request.url === '/echo') {
    response.setHeader('x-seen', JSON.stringify(request.rawHeaders));
    return request.pipe(response);
  }
  if (request.url === '/slow') {
    response.write('one\\n');
    return void request.once('close', () => undefined), setTimeout(() => response.end('two\\n'), 300);
  }
  if (request.url === '/hang') {
    response.write('begun');
    return void response.once('close', () => console.log('abandoned'));
  }
  response.end('${version}');
});
server.on('upgrade', (request, socket) => {
  const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const accept = createHash('sha1').update(key).digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n');
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => socket.write(data));
});
server.listen(process.env.PORT, () => console.log('${version} listens'));
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
`,
});

/** Its process ends at once. */
export const crashingApp = (): AppFiles => ({
  ...goodApp('broken'),
  'server.mjs': `console.error('cannot find the database'); process.exit(3);`,
});

/** Nothing says how to run it. */
export const noApp = (): AppFiles => ({ 'README.md': '# Nothing to run\n', 'package.json': '' });
