import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { installDebianPackages } from '#sandbox/image/debian-packages.ts';

interface HostProgram {
  names: readonly string[];
  packages: readonly string[];
  usedBy: string;
}

/** What tests run on this machine, outside any container, beyond Node and git. */
const programs = {
  chromium: {
    names: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
    // Debian's Chromium comes without a font of its own.
    packages: ['chromium', 'fonts-liberation', 'fonts-dejavu-core'],
    usedBy: 'the status page',
  },
  python3: { names: ['python3'], packages: ['python3'], usedBy: 'the Python template' },
  // Since Debian 13 not part of docker.io.
  docker: { names: ['docker'], packages: ['docker-cli'], usedBy: 'backups by pg_dump' },
  make: { names: ['make'], packages: ['make'], usedBy: 'recognising test runs' },
} satisfies Record<string, HostProgram>;

/** Its path; throws with the packages to install where there is none. */
export async function hostProgram(name: keyof typeof programs): Promise<string> {
  const { packages } = programs[name];
  const path = await find(programs[name]);
  if (path === undefined)
    throw new Error(`There is no ${name} here. As root: apt-get install ${packages.join(' ')}`);
  return path;
}

/** As root on Debian installs those that are missing, saying so; elsewhere the tests that use them will fail. */
export async function ensureHostPrograms(say: (line: string) => void): Promise<void> {
  const missing: HostProgram[] = [];
  for (const program of Object.values(programs)) if (!(await find(program))) missing.push(program);
  const [first, ...rest] = missing.flatMap(({ packages }) => packages);
  if (first === undefined) return;
  say(`Tests need programs that are not here yet, for ${missing.map(({ usedBy }) => usedBy).join(', ')}.`);
  const installing = installDebianPackages([first, ...rest], { onProgress: say });
  await installing.then(
    () => say('They are installed.'),
    (error: unknown) => say(String(error)),
  );
}

async function find({ names }: HostProgram): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of names) {
      const path = join(folder, name);
      const found = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return path;
    }
  }
  return undefined;
}
