#!/usr/bin/env node
import { serve } from '@hono/node-server';
import { ForgeError } from '#adapters/forge/forge.ts';
import { LlmError } from '#adapters/llm/llm.ts';
import { createComio } from '#core/comio.ts';
import { type Config, ConfigError, loadConfig } from '#core/config.ts';
import { SurfaceError } from '#core/conversations/surface.ts';
import { backup, restore } from '#core/store/backup.ts';
import { openDatabase } from '#core/store/database.ts';
import { StoreError } from '#core/store/errors.ts';
import { createLogger, type Logger } from '#observability/log.ts';
import { createRedactor, type Redactor } from '#observability/redact.ts';
import { env, surfaces } from './index.ts';
import { missing } from './missing.ts';
import { mountSetup, welcome } from './welcome.ts';

const USAGE = `comio              starts the service
comio backup FILE  writes everything in the database to FILE
comio restore FILE fills a new, empty database from FILE
`;

type ServiceConfig = Config<typeof env>;

/** The service: configuration → Comio → surfaces → listen → dispose on SIGTERM. */
async function start(config: ServiceConfig, log: Logger, redact: Redactor): Promise<void> {
  await using comio = await createComio({ config, log, redact });
  const { app, receive } = comio;
  const on = Object.entries(surfaces).filter(([, surface]) => missing(surface, config).length === 0);
  await using connected = new AsyncDisposableStack();
  const list = [];
  for (const [name, surface] of on) {
    const deps = { settings: config as never, receive, log: log.child({ surface: name }) };
    list.push(connected.use(await surface.create(deps)));
  }
  mountSetup(app, config);
  await comio.start(list);

  const { promise: stopping, resolve: stop } = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop(signal));
  const { promise: bound, resolve, reject } = Promise.withResolvers<number>();
  const server = serve({ fetch: app.fetch, hostname: config.HOST, port: config.PORT }, ({ port }) =>
    resolve(port),
  );
  server.once('error', reject);
  const url = `http://${config.HOST}:${await bound}`;
  log.info({ url, surfaces: on.map(([name]) => name) }, 'listening');
  process.stdout.write(welcome(config, url));

  log.info({ signal: await stopping }, 'stopping: no new work is taken; runs resume at the next start');
  await new Promise((done) => server.close(done));
}

async function main([command = 'start', file]: string[]): Promise<number> {
  const config = loadConfig(env);
  const redact = createRedactor(config.secrets);
  const log = createLogger(config.LOG_LEVEL, redact);
  const store = { url: config.DATABASE_URL, dataDir: config.COMIO_DATA_DIR, log };
  if (command === 'start') await start(config, log, redact);
  else if (command === 'backup' && file) {
    await using database = await openDatabase(store);
    await backup(database, file);
  } else if (command === 'restore' && file) await restore(store, file);
  else {
    process.stderr.write(USAGE);
    return 2;
  }
  return 0;
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  // What the operator can mend is said in words; anything else is a bug and shows where.
  if (!isMendable(error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(2);
}

function isMendable(error: unknown): error is Error {
  const ports = [ConfigError, StoreError, SurfaceError, ForgeError, LlmError];
  if (ports.some((known) => error instanceof known)) return true;
  // The address is taken, or not ours to listen on.
  return error instanceof Error && 'syscall' in error && error.syscall === 'listen';
}
