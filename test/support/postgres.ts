import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import pg from 'pg';
import { inject } from 'vitest';
import { waitForDirectoryLock } from './directory-lock.ts';
import { freePort } from './free-port.ts';
import { ensurePostgresImage, POSTGRES_IMAGE, POSTGRES_MAJOR } from './postgres-image.ts';
import { RUN_LABEL } from './run.ts';

const USER = 'comio';
const PASSWORD = 'comio:te/st';
const PORT_LABEL = 'comio.test.port';
const READY_TIMEOUT_MS = 60_000;

/** Nothing needs to survive the run, so nothing is synced to disk. */
const START = `set -e
printf %s "$POSTGRES_TEST_PASSWORD" > /pg/password
bin=/usr/lib/postgresql/${POSTGRES_MAJOR}/bin
$bin/initdb --pgdata=/pg/data --username=${USER} --pwfile=/pg/password --auth=scram-sha-256 --encoding=UTF8 --no-sync
exec $bin/postgres -D /pg/data -p "$POSTGRES_TEST_PORT" -c listen_addresses=127.0.0.1 -c unix_socket_directories=/pg \\
  -c max_connections=200 -c shared_buffers=64MB -c max_wal_size=128MB \\
  -c fsync=off -c synchronous_commit=off -c full_page_writes=off`;

export interface TestDatabase extends AsyncDisposable {
  url: string;
}

/**
 * A database on a real PostgreSQL with pgvector: POSTGRES_TEST_URL's, or a container shared by the whole run. Empty, or
 * a copy of a template that {@link ensureTemplate} named.
 */
export const createTestDatabase = async (template?: string): Promise<TestDatabase> => {
  const server = await postgresServer();
  const name = `test_${randomBytes(6).toString('hex')}`;
  await administer(server, `create database ${name}${template ? ` template ${template}` : ''}`);
  return {
    url: databaseUrl(server, name),
    async [Symbol.asyncDispose]() {
      await administer(server, `drop database ${name} with (force)`);
    },
  };
};

/** Fills a database once per server, under a lock; it stays there, under the name returned, to be copied. */
export const ensureTemplate = async (hash: string, fill: (url: string) => Promise<void>): Promise<string> => {
  const server = await postgresServer();
  const name = `comio_test_template_${hash}`;
  using _lock = await waitForDirectoryLock(join(tmpdir(), 'comio-test-postgres-template'));
  if (await exists(server, name)) return name;
  const unfinished = `${name}_unfinished`;
  await administer(server, `drop database if exists ${unfinished} with (force)`);
  await administer(server, `create database ${unfinished}`);
  await fill(databaseUrl(server, unfinished));
  await administer(server, `alter database ${unfinished} rename to ${name}`);
  return name;
};

const exists = async (server: string, name: string): Promise<boolean> => {
  const { rowCount } = await administer(server, `select from pg_database where datname = '${name}'`);
  return rowCount === 1;
};

const databaseUrl = (server: string, name: string): string => {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
};

let server: Promise<string> | undefined;

/** The URL of a server, as a user who may create databases. */
export const postgresServer = (): Promise<string> => {
  const given = process.env.POSTGRES_TEST_URL;
  server ??= given ? Promise.resolve(given) : startServer(inject('testRun'));
  return server;
};

/** Test files run in several processes: the first of them starts the container, under a lock; the others find it. */
const startServer = async (run: string): Promise<string> => {
  const docker = new Docker();
  const name = `comio-test-postgres-${run}`;
  {
    using _lock = await waitForDirectoryLock(join(tmpdir(), 'comio-test-postgres'));
    await ensurePostgresImage(docker);
    const running = await docker.listContainers({ filters: { name: [`^/${name}$`] } });
    if (running.length === 0) {
      const port = await freePort();
      const container = await docker.createContainer({
        name,
        Image: POSTGRES_IMAGE,
        Cmd: ['sh', '-c', START],
        User: 'postgres',
        Env: [`POSTGRES_TEST_PASSWORD=${PASSWORD}`, `POSTGRES_TEST_PORT=${port}`],
        Labels: { [RUN_LABEL]: run, [PORT_LABEL]: String(port) },
        // A published port would send every byte through a proxy process and a bridge.
        HostConfig: { Tmpfs: { '/pg': 'mode=1777' }, NetworkMode: 'host' },
      });
      await container.start();
    }
  }
  const { Config } = await docker.getContainer(name).inspect();
  const url = new URL(`postgres://127.0.0.1:${Config.Labels[PORT_LABEL]}/postgres`);
  url.username = USER;
  url.password = encodeURIComponent(PASSWORD);
  await untilReady(docker, name, url.href);
  return url.href;
};

const untilReady = async (docker: Docker, name: string, url: string): Promise<void> => {
  for (let waited = 0; ; waited += 100) {
    try {
      await administer(url, 'select 1');
      return;
    } catch (error) {
      const container = docker.getContainer(name);
      const { State } = await container.inspect();
      if (State.Running && waited < READY_TIMEOUT_MS) {
        await sleep(100);
        continue;
      }
      const logs = await container.logs({ stdout: true, stderr: true, tail: 30 });
      throw new Error(`PostgreSQL for the tests did not start:\n${logs.toString('utf8')}`, { cause: error });
    }
  }
};

const administer = async (url: string, statement: string): Promise<pg.QueryResult> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // A server that is still starting drops the connection after the handshake.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await client.query(statement);
  } finally {
    await client.end();
  }
};
