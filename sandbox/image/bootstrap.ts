import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import type Docker from 'dockerode';
import { SandboxError } from '../sandbox.ts';
import { followProgress } from './follow-progress.ts';
import { runHostCommand, startHostCommand } from './host-command.ts';
import { DEBIAN_SUITE, type Recipe } from './recipe.ts';

/** What nobody reads in a sandbox. */
const LEFT_OUT = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*', '/usr/share/info/*'];

/**
 * Makes the base image from Debian packages: mmdebstrap's root file system goes straight into `docker import`. For
 * hosts that reach a Debian mirror but no image registry. Throws `image_failed`.
 */
export async function bootstrapBase(
  docker: Docker,
  recipe: Recipe,
  options: { onProgress: (phase: string) => void; signal?: AbortSignal | undefined },
): Promise<void> {
  await ensureMmdebstrap(options);
  options.onProgress('Building the base image from Debian packages');
  const mmdebstrap = startHostCommand(
    [
      'mmdebstrap',
      '--variant=minbase',
      '--format=tar',
      `--architectures=${recipe.architecture}`,
      '--aptopt=Acquire::Languages "none"',
      ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
      `--include=${recipe.packages.join(',')}`,
      DEBIAN_SUITE,
      '-',
    ],
    {
      signal: options.signal,
      onStderrLine: (line) => {
        const phase = /^I: (?:running |)([a-z].*?)\.*$/.exec(line)?.[1];
        if (phase !== undefined) options.onProgress(`Building the base image: ${phase}`);
      },
    },
  );
  const importing = docker.importImage(mmdebstrap.stdout);
  const [, answer] = await Promise.all([mmdebstrap.done, importing]);
  let imported = '';
  await followProgress(answer, (text) => {
    imported = text;
  });
  // Named only now: an archive cut short is an image to Docker all the same.
  const [repo = '', tag = ''] = recipe.bootstrapTag.split(':');
  await docker.getImage(imported).tag({ repo, tag });
}

async function ensureMmdebstrap(options: {
  onProgress: (phase: string) => void;
  signal?: AbortSignal | undefined;
}): Promise<void> {
  if (await isExecutable('/usr/bin/mmdebstrap')) return;
  const byHand = 'run as root: apt-get install mmdebstrap';
  if (process.getuid?.() !== 0 || !(await isExecutable('/usr/bin/apt-get'))) {
    throw new SandboxError(
      'image_failed',
      `No image registry is reachable, and mmdebstrap, which makes the image from Debian packages, is missing (${byHand})`,
    );
  }
  options.onProgress('Installing mmdebstrap');
  const { signal } = options;
  await runHostCommand(['apt-get', 'update', '-qq'], { signal });
  await runHostCommand(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'mmdebstrap'], {
    signal,
  });
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
