import { flushCompileCache } from 'node:module';
import { serve } from '@hono/node-server';
import type { Config } from '#core/config.ts';
import type { Logger } from '#observability/log.ts';
import type { Redactor } from '#observability/redact.ts';
import { createFrontDoor } from './front-door.ts';
import { type env, surfaces } from './index.ts';
import { missing } from './missing.ts';

/**
 * The service, until SIGTERM: listens at once, and only then loads and opens the rest (Comio, then the surfaces), so
 * that nothing sent to it during a restart is refused.
 */
export async function runService(config: Config<typeof env>, log: Logger, redact: Redactor): Promise<void> {
  const door = createFrontDoor();
  const { promise: bound, resolve, reject } = Promise.withResolvers<number>();
  const server = serve({ fetch: door.fetch, hostname: config.HOST, port: config.PORT }, ({ port }) =>
    resolve(port),
  );
  server.once('error', reject);
  const url = `http://${config.HOST}:${await bound}`;
  log.info({ url }, 'listening');

  const { openDatabase } = await import('#core/store/database.ts');
  // PGlite is compiled by other threads, a PostgreSQL answers over the network: meanwhile the rest is loaded.
  const [opened, { createComio }, { mountSetup, welcome }] = await Promise.all([
    openDatabase({ url: config.DATABASE_URL, dataDir: config.COMIO_DATA_DIR, log }),
    import('#core/comio.ts'),
    import('./welcome.ts'),
  ]);
  await using database = opened;
  await using comio = await createComio({ config, log, redact, database });
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
  door.open(app);

  const { promise: stopping, resolve: stop } = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop(signal));
  log.info({ url, surfaces: on.map(([name]) => name) }, 'ready');
  process.stdout.write(welcome(config, url));
  // Not only at the exit: the next start should be quick also after a kill.
  flushCompileCache();

  log.info({ signal: await stopping }, 'stopping: no new work is taken; runs resume at the next start');
  await new Promise((done) => server.close(done));
}
