import { mkdtemp, readFile, rm, statfs } from 'node:fs/promises';
import { freemem } from 'node:os';
import { join } from 'node:path';

const SHM = '/dev/shm';
const NEEDED_BYTES = 4 * 1_073_741_824;

/**
 * A directory in memory for what the tests write and throw away; undefined where there is no room, or nothing may be
 * executed in it. On ext4, files made just after others were deleted cost a search through all of those.
 */
export async function createMemoryDirectory(): Promise<(AsyncDisposable & { path: string }) | undefined> {
  const mounts = await readFile('/proc/mounts', 'utf8').catch(() => '');
  const options = mounts
    .split('\n')
    .map((line) => line.split(' '))
    .findLast(([, at]) => at === SHM)?.[3];
  if (options === undefined || options.split(',').includes('noexec')) return undefined;
  const { bavail, bsize } = await statfs(SHM);
  if (bavail * bsize < NEEDED_BYTES || freemem() < 2 * NEEDED_BYTES) return undefined;
  const path = await mkdtemp(join(SHM, 'comio-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
