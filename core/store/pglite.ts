import { existsSync, openAsBlob } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import { PolitePglite } from './polite-pglite.ts';
import { pgliteParsers } from './types.ts';

/** The default of 128 MB buys an embedded database nothing and costs 130 MB of memory. */
const startParams = [...PGlite.defaultStartParams, '-c', 'shared_buffers=16MB'];

const directoryOf = (dataDir: string): string => join(dataDir, 'pglite');

const open = async (directory: string, backup?: Blob): Promise<PGlite> => {
  const pglite = new PolitePglite({
    dataDir: directory,
    extensions: { vector },
    parsers: pgliteParsers,
    startParams,
    ...(backup ? { loadDataDir: backup } : {}),
  });
  await pglite.waitReady;
  return pglite;
};

export const pgliteExists = (dataDir: string): boolean => existsSync(directoryOf(dataDir));

/** Opens `<dataDir>/pglite`, creating it if it is not there. The caller holds the lock on `dataDir`. */
export const openPglite = async (dataDir: string): Promise<PGlite> => {
  if (!pgliteExists(dataDir)) await createPglite(dataDir);
  return open(directoryOf(dataDir));
};

/**
 * Makes `<dataDir>/pglite`, empty or from the file of a backup. Throws when the backup cannot be read or opened,
 * and leaves nothing then. It is made beside its place and moved there whole, because a process killed half-way
 * through the first initialisation leaves a directory that can never be opened.
 */
export const createPglite = async (dataDir: string, backupFile?: string): Promise<void> => {
  const unfinished = `${directoryOf(dataDir)}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true, mode: 0o700 });
  try {
    const pglite = await open(
      unfinished,
      backupFile === undefined ? undefined : await openAsBlob(backupFile),
    );
    await pglite.close();
    await rename(unfinished, directoryOf(dataDir));
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
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
