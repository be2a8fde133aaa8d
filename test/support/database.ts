import { createHash } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe } from 'vitest';
import { type Database, openDatabase } from '#core/store/database.ts';
import { openJobs } from '#core/store/jobs.ts';
import { migrate, migrationFolder } from '#core/store/migrate.ts';
import { queues } from '#core/store/queues.ts';
import { createLogger } from '#observability/log.ts';
import { waitForDirectoryLock } from './directory-lock.ts';
import { createTestDatabase, ensureTemplate } from './postgres.ts';
import { createTempDir } from './temp-dir.ts';

export type StoreKind = Database['kind'];

const log = createLogger('silent');

/** A migrated database of its own, removed when disposed: `await using database = await openTestDatabase(kind)`. */
export const openTestDatabase = async (kind: StoreKind): Promise<Database> => {
  await using opening = new AsyncDisposableStack();
  const database = await (kind === 'pglite' ? openTestPglite(opening) : openTestPostgres(opening));
  const held = opening.move();
  return { ...database, [Symbol.asyncDispose]: () => held.disposeAsync() };
};

/** Declares the suite once for PGlite and once for PostgreSQL; `open` gives each test a database of its own. */
export const forEachStore = (suite: (kind: StoreKind, open: () => Promise<Database>) => void): void => {
  describe.each(['pglite', 'postgres'] as const)('on %s', (kind) => {
    suite(kind, () => openTestDatabase(kind));
  });
};

const openTestPostgres = async (opening: AsyncDisposableStack): Promise<Database> => {
  const { url } = opening.use(await createTestDatabase(await postgresTemplate()));
  return opening.use(await openDatabase({ url, dataDir: '', log }));
};

let filled: Promise<string> | undefined;
const postgresTemplate = (): Promise<string> => {
  filled ??= templateHash().then((hash) => ensureTemplate(hash, (url) => fill({ url, dataDir: '' })));
  return filled;
};

/** As it is when the service has run on it once: migrated, and with the tables of the job engine. */
const fill = async (where: { url?: string; dataDir: string }): Promise<void> => {
  await using database = await openDatabase({ ...where, log });
  await migrate(database.db, log);
  await using _jobs = await openJobs(database, { log, queues });
};

const openTestPglite = async (opening: AsyncDisposableStack): Promise<Database> => {
  const { path } = opening.use(await createTempDir());
  await copyDirectory(await pgliteTemplate(), join(path, 'pglite'));
  return opening.use(await openDatabase({ dataDir: path, log }));
};

/** Initialising PGlite takes seconds, copying an initialised directory a fraction of one. */
const pgliteTemplate = async (): Promise<string> => {
  const root = join(tmpdir(), 'comio-test-pglite');
  const template = join(root, await templateHash());
  const directory = join(template, 'pglite');
  if (existsSync(directory)) return directory;
  using _lock = await waitForDirectoryLock(root);
  if (existsSync(directory)) return directory;
  const unfinished = `${template}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  await fill({ dataDir: unfinished });
  await rename(unfinished, template);
  return directory;
};

/** Changes with whatever the template is made of. */
const templateHash = async (): Promise<string> => {
  const store = dirname(migrationFolder);
  const lock = join(store, '../../package-lock.json');
  const migrations = (await readdir(migrationFolder)).sort().map((name) => join(migrationFolder, name));
  const sources = ['boss.ts', 'jobs.ts', 'queues.ts', 'pglite.ts'].map((name) => join(store, name));
  const hash = createHash('sha256');
  for (const file of [...migrations, ...sources, lock]) hash.update(await readFile(file));
  return hash.digest('hex').slice(0, 16);
};

const copyDirectory = (from: string, to: string): Promise<void> =>
  cp(from, to, { recursive: true, mode: constants.COPYFILE_FICLONE });
