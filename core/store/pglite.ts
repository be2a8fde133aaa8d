import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import { pgliteParsers } from './types.ts';

/** The default of 128 MB buys an embedded database nothing and costs 130 MB of memory. */
const startParams = [...PGlite.defaultStartParams, '-c', 'shared_buffers=16MB'];

const open = (dataDir: string, template?: Blob): Promise<PGlite> =>
  PGlite.create({
    dataDir,
    extensions: { vector },
    parsers: pgliteParsers,
    startParams,
    ...(template ? { loadDataDir: template } : {}),
  });

export const pgliteDirectory = (dataDir: string): string => join(dataDir, 'pglite');

/**
 * Opens `<dataDir>/pglite`, creating it first if it is not there: from `template` (a `dumpDataDir`), or empty.
 * It is created beside its place and moved there whole, because a process killed half-way through the first
 * initialisation leaves a directory that can never be opened. The caller holds the directory's lock.
 */
export const openPglite = async (dataDir: string, template?: Blob): Promise<PGlite> => {
  const directory = pgliteDirectory(dataDir);
  if (!existsSync(directory)) {
    const unfinished = `${directory}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(dataDir, { recursive: true });
    const fresh = await open(unfinished, template);
    await fresh.close();
    await rename(unfinished, directory);
  }
  return open(directory);
};

/** PGlite has no autovacuum, and a queue's tables are mostly dead rows. */
export const vacuumEvery = (
  pglite: PGlite,
  intervalMs: number,
  onError: (error: unknown) => void,
): Disposable => {
  const timer = setInterval(() => {
    pglite.exec('VACUUM (ANALYZE)').catch(onError);
  }, intervalMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
};
