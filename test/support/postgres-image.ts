import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import tar from 'tar-stream';
import { installDebianPackages, isExecutable } from '#sandbox/image/debian-packages.ts';
import { withProcessLock } from '#sandbox/process-lock.ts';

const run = promisify(execFile);

export const POSTGRES_MAJOR = 17;
const PACKAGES = [`postgresql-${POSTGRES_MAJOR}`, `postgresql-${POSTGRES_MAJOR}-pgvector`];
/** Debian 13, the first with a pgvector that has HNSW indexes. */
const SUITE = 'trixie';
const DOCKERFILE = `FROM debian:${SUITE}-slim
RUN apt-get update && apt-get install -y --no-install-recommends ${PACKAGES.join(' ')}
`;

const repo = 'comio-test-postgres';
const tag = createHash('sha256').update(DOCKERFILE).digest('hex').slice(0, 12);
export const POSTGRES_IMAGE = `${repo}:${tag}`;

/**
 * Builds the image of a PostgreSQL with pgvector unless it is there. On Debian it is put together from packages of
 * the mirror this machine uses, so no image registry is needed; elsewhere a Dockerfile says the same.
 */
export const ensurePostgresImage = async (docker: Docker): Promise<void> => {
  if (await isThere(docker)) return;
  const onWait = () => console.error(`Waiting for another process that builds ${POSTGRES_IMAGE}`);
  await withProcessLock(POSTGRES_IMAGE, { onWait }, async () => {
    if (await isThere(docker)) return;
    console.error(`The tests of the store need a PostgreSQL: its image is built once, in a minute or so.`);
    const started = performance.now();
    const mirror = await debianMirror();
    await (mirror ? bootstrap(docker, mirror) : build(docker));
    console.error(
      `The image of PostgreSQL is ready (${Math.round((performance.now() - started) / 1000)} s).`,
    );
  });
};

const isThere = async (docker: Docker): Promise<boolean> => {
  const present = await docker.listImages({ filters: { reference: [POSTGRES_IMAGE] } });
  return present.length > 0;
};

/** The Debian archive in apt's configuration; undefined on a system that is not Debian. */
const debianMirror = async (): Promise<string | undefined> => {
  const format = '$(ORIGIN) $(COMPONENT) $(RELEASE) $(SITE)';
  const { stdout } = await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return { stdout: '' };
      throw error;
    },
  );
  const lines = stdout.split('\n').map((line) => line.split(' '));
  return lines.find(
    ([origin, component, release]) => origin === 'Debian' && component === 'main' && !release?.includes('-'),
  )?.[3];
};

const bootstrap = async (docker: Docker, mirror: string): Promise<void> => {
  if (!(await isExecutable('/usr/bin/mmdebstrap')))
    await installDebianPackages(['mmdebstrap'], { onProgress: (line) => console.error(line) });
  const child = spawn(
    'mmdebstrap',
    [
      '--quiet',
      '--variant=minbase',
      '--dpkgopt=force-unsafe-io',
      `--include=${PACKAGES.join(',')}`,
      SUITE,
      '-',
      mirror,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'close');
  // Under another tag until the tarball is known to be whole.
  const imported = await docker.importImage(child.stdout, { repo, tag: `${tag}-unfinished` });
  await finished(docker, imported);
  const [code] = await exited;
  const image = docker.getImage(`${POSTGRES_IMAGE}-unfinished`);
  if (code === 0) await image.tag({ repo, tag });
  await image.remove();
  if (code !== 0) throw new Error(`mmdebstrap failed with exit code ${code}`);
};

const build = async (docker: Docker): Promise<void> => {
  const context = tar.pack();
  context.entry({ name: 'Dockerfile' }, DOCKERFILE);
  context.finalize();
  await finished(docker, await docker.buildImage(Readable.from(context), { t: POSTGRES_IMAGE }));
};

const finished = (docker: Docker, progress: NodeJS.ReadableStream): Promise<void> =>
  new Promise((done, fail) => {
    docker.modem.followProgress(progress, (error) => (error ? fail(error) : done()));
  });
