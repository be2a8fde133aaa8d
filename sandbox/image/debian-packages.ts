import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { withProcessLock } from '../process-lock.ts';
import { SandboxError } from '../sandbox.ts';
import { runHostCommand } from './host-command.ts';

/**
 * Installs Debian packages on this host, one process at a time. Throws `image_failed`: with the command for a person
 * where this is not Debian or not root, else with what apt said.
 */
export async function installDebianPackages(
  packages: readonly [string, ...string[]],
  options: { onProgress: (phase: string) => void; signal?: AbortSignal | undefined },
): Promise<void> {
  const { onProgress, signal } = options;
  const names = packages.join(' ');
  if (process.getuid?.() !== 0 || !(await isExecutable('/usr/bin/apt-get'))) {
    throw new SandboxError(
      'image_failed',
      `Missing here: ${names}. On Debian, as root: apt-get install ${names}`,
    );
  }
  const onWait = () => onProgress('Waiting until others have installed their Debian packages');
  await withProcessLock('debian packages', { onWait, signal }, async () => {
    onProgress(`Installing from Debian packages: ${names}`);
    // dpkg needs the administrator's programs, which are not in the PATH of every root.
    const script = 'DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin" exec apt-get -qq "$@"';
    const apt = (...argv: string[]) =>
      runHostCommand(['sh', '-c', script, 'apt-get', '-o', 'DPkg::Lock::Timeout=120', ...argv], { signal });
    const install = () => apt('install', '-y', '--no-install-recommends', ...packages);
    // A fresh machine has no package lists, an old one has outdated ones; with good ones there is nothing to fetch.
    const [installed] = await Promise.allSettled([install()]);
    if (installed.status === 'fulfilled') return;
    signal?.throwIfAborted();
    // One of several sources may fail without being needed here.
    const [updated] = await Promise.allSettled([apt('update')]);
    signal?.throwIfAborted();
    try {
      await install();
    } catch (error) {
      signal?.throwIfAborted();
      const reasons = updated.status === 'fulfilled' ? [error] : [updated.reason, error];
      throw new SandboxError('image_failed', `apt-get install ${names} failed:\n${reasons.join('\n')}`, {
        cause: error,
      });
    }
  });
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
