#!/usr/bin/env node
import { serve } from '@hono/node-server';
import { ConfigError, loadConfig } from '#core/config.ts';
import { createComio } from '#core/comio.ts';
import { createLogger } from '#observability/log.ts';
import { createRedactor } from '#observability/redact.ts';
import { env, missing, surfaces } from './index.ts';
import { welcome } from './welcome.ts';

/** The process: configuration → Comio → surfaces → listen → dispose on SIGTERM. */
async function main(): Promise<void> {
  const config = loadConfig(env);
  const log = createLogger(config.LOG_LEVEL, createRedactor(config.secrets));
  await using comio = await createComio({ config, log });
  const { app, receive } = comio;
  const settings: never = config as never;
  const on = Object.entries(surfaces).filter(([, surface]) => missing(surface, config).length === 0);
  const list = await Promise.all(
    on.map(([name, surface]) => surface.create({ settings, receive, log: log.child({ surface: name }) })),
  );
  await using connected = new AsyncDisposableStack();
  for (const surface of list) connected.use(surface);

  await comio.start(list);
  const { promise: stopping, resolve: stop } = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop(signal));
  const listening = Promise.withResolvers<number>();
  const server = serve({ fetch: app.fetch, hostname: config.HOST, port: config.PORT }, (info) =>
    listening.resolve(info.port),
  );
  server.once('error', listening.reject);
  const url = `http://${config.HOST}:${await listening.promise}`;
  log.info({ url, surfaces: on.map(([name]) => name) }, 'listening');
  process.stdout.write(welcome({ config, url, app }));

  log.info({ signal: await stopping }, 'stopping: no new work is taken, runs resume at the next start');
  await new Promise((resolve) => server.close(resolve));
}

try {
  await main();
  process.exit(0);
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(2);
}
