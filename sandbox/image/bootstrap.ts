import type Docker from 'dockerode';
import { installDebianPackages, isExecutable } from './debian-packages.ts';
import { followProgress } from './follow-progress.ts';
import { startHostCommand } from './host-command.ts';
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
  if (!(await isExecutable('/usr/bin/mmdebstrap'))) {
    options.onProgress('No image registry is reached: the base image is made from Debian packages');
    await installDebianPackages(['mmdebstrap'], options);
  }
  options.onProgress('Building the base image from Debian packages');
  const mmdebstrap = startHostCommand(
    [
      'mmdebstrap',
      '--variant=minbase',
      '--format=tar',
      `--architectures=${recipe.architecture}`,
      '--aptopt=Acquire::Languages "none"',
      // A half-written image is thrown away: nothing needs to be on the disk in between.
      '--dpkgopt=force-unsafe-io',
      ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
      `--include=${recipe.packages.join(',')}`,
      DEBIAN_SUITE,
      '-',
    ],
    {
      signal: options.signal,
      onStderrLine: (line) => {
        const phase =
          /^I: (?:running |)((?:apt-get|downloading|extracting|installing|creating) .*?)\.*$/.exec(line)?.[1];
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
