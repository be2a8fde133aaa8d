import { once } from 'node:events';
import { createServer } from 'node:http';
import { flushCompileCache } from 'node:module';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Config } from '#core/config.ts';
import { createHosts } from '#core/deployments/host.ts';
import type { Logger } from '#observability/log.ts';
import type { Redactor } from '#observability/redact.ts';
import { createFrontDoor } from './front-door.ts';
import { type env, surfaces } from './index.ts';
import { missing } from './missing.ts';

/** Milliseconds that requests under way get to end when the service stops. */
const CLOSE_MS = 5000;

/**
 * The service, until SIGTERM: listens at once, and only then loads and opens the rest (Comio, then the surfaces), so
 * that nothing sent to it during a restart is refused.
 */
export async function runService(config: Config<typeof env>, log: Logger, redact: Redactor): Promise<void> {
  const hosts = createHosts({
    domain: config.DEPLOY_DOMAIN,
    publicUrl: config.PUBLIC_URL,
    port: config.PORT,
  });
  const door = createFrontDoor({ isApp: ({ headers }) => hosts.labelOf(headers.host) !== undefined });
  const server = createServer(
    { shouldUpgradeCallback: door.wantsUpgrade },
    door.listener(getRequestListener(door.fetch, { hostname: config.HOST })),
  );
  server.on('upgrade', door.upgrade);
  server.listen(config.PORT, config.HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://${config.HOST}:${port}`;
  log.info({ url }, 'listening');
  const canOpenApps = hosts.urlOf('app') !== undefined;
  if (!canOpenApps)
    log.warn(
      { domain: config.DEPLOY_DOMAIN },
      'nobody but this machine can open deployed apps: PUBLIC_URL is set, DEPLOY_DOMAIN is not',
    );

  const { openDatabase } = await import('#core/store/database.ts');
  // PGlite is compiled by other threads, a PostgreSQL answers over the network: meanwhile the rest is loaded.
  const [opened, { createComio }, { mountSetup, welcome }] = await Promise.all([
    openDatabase({ url: config.DATABASE_URL, dataDir: config.COMIO_DATA_DIR, log }),
    import('#core/comio.ts'),
    import('./welcome.ts'),
  ]);
  await using database = opened;
  await using comio = await createComio({ config, log, redact, database, port });
  const { app, receive, images } = comio;
  const on = Object.entries(surfaces).filter(([, surface]) => missing(surface, config).length === 0);
  await using connected = new AsyncDisposableStack();
  const list = [];
  for (const [name, surface] of on) {
    const deps = { settings: config as never, receive, images, log: log.child({ surface: name }) };
    list.push(connected.use(await surface.create(deps)));
  }
  mountSetup(app, config);
  await comio.start(list);
  door.open(app, comio.proxy);

  const { promise: stopping, resolve: stop } = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop(signal));
  log.info({ url, surfaces: on.map(([name]) => name) }, 'ready');
  process.stdout.write(welcome(config, url, canOpenApps));
  // Not only at the exit: the next start should be quick also after a kill.
  flushCompileCache();

  log.info({ signal: await stopping }, 'stopping: no new work is taken; runs resume at the next start');
  const closed = new Promise((done) => server.close(done));
  // Streams and WebSockets of deployed apps may never end by themselves.
  const cut = setTimeout(() => {
    server.closeAllConnections();
    comio.proxy[Symbol.dispose]();
  }, CLOSE_MS);
  await closed;
  clearTimeout(cut);
}
