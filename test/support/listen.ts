import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { AppProxy } from '#core/deployments/proxy.ts';

export interface Listening extends AsyncDisposable {
  port: number;
  get(host: string, path: string): Promise<{ status: number; body: string }>;
}

/** A server on 127.0.0.1 that hands everything to the proxy, as the service does for the names of apps. */
export async function listen(proxy: AppProxy): Promise<Listening> {
  const server = createServer({ shouldUpgradeCallback: () => true }, proxy.request);
  server.on('upgrade', proxy.upgrade);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async get(host, path) {
      const request = get({ host: '127.0.0.1', port, path, headers: { host }, agent: false });
      const [answer] = (await once(request, 'response')) as [IncomingMessage];
      return { status: answer.statusCode ?? 0, body: await text(answer) };
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
