import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoreError } from './errors.ts';

/**
 * Holds `directory` for this process until disposed. The lock is SQLite's on a file, because the kernel releases
 * that one when the process is killed, which a pid file cannot promise. Throws `locked`, naming the other process.
 */
export const lockDirectory = (directory: string): Disposable => {
  mkdirSync(directory, { recursive: true });
  const pidFile = join(directory, 'owner.pid');
  const lock = new DatabaseSync(join(directory, 'owner.lock'));
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (cause) {
    lock.close();
    throw new StoreError(
      'locked',
      `${directory} is in use by another Comio process (${readOwner(pidFile)}). Stop it first, give this one another data directory, or set DATABASE_URL to share a PostgreSQL.`,
      { cause },
    );
  }
  writeFileSync(pidFile, `${process.pid}\n`);
  return {
    [Symbol.dispose]() {
      rmSync(pidFile, { force: true });
      lock.close();
    },
  };
};

const readOwner = (pidFile: string): string => {
  try {
    return `pid ${readFileSync(pidFile, 'utf8').trim()}`;
  } catch {
    // The other process is between taking the lock and writing its pid.
    return 'pid unknown';
  }
};
