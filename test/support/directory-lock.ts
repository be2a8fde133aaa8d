import { setTimeout as sleep } from 'node:timers/promises';
import { lockDirectory } from '#core/store/directory-lock.ts';
import { StoreError } from '#core/store/errors.ts';

/** Waits until no other process holds `directory`, then holds it. */
export const waitForDirectoryLock = async (directory: string): Promise<Disposable> => {
  for (;;) {
    try {
      return lockDirectory(directory);
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'locked')) throw error;
      await sleep(100);
    }
  }
};
