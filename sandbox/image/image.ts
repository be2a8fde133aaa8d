import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import type { Logger } from '#observability/log.ts';
import { hasStatus } from '../docker-client.ts';
import { withProcessLock } from '../process-lock.ts';
import { SandboxError } from '../sandbox.ts';
import { bootstrapBase } from './bootstrap.ts';
import { followProgress } from './follow-progress.ts';
import { runHostCommand } from './host-command.ts';
import { REGISTRY_BASE, type Recipe, readRecipe } from './recipe.ts';

export interface ImageOptions {
  log: Logger;
  onProgress: (phase: string) => void;
  signal?: AbortSignal | undefined;
}

/**
 * The tag of the sandboxes' image, built unless the daemon has it: on the registry's Debian where one can be reached,
 * else on one made from Debian packages. Throws `image_failed`.
 */
export async function ensureImage(docker: Docker, options: ImageOptions): Promise<string> {
  const { Arch } = await docker.version();
  const recipe = await readRecipe(Arch);
  if (await exists(docker, recipe.tag)) return recipe.tag;
  const onWait = () => options.onProgress('Waiting for another process that builds the sandbox image');
  await withProcessLock(recipe.tag, { onWait, signal: options.signal }, async () => {
    if (await exists(docker, recipe.tag)) return;
    await build(docker, recipe, options);
  });
  return recipe.tag;
}

async function build(docker: Docker, recipe: Recipe, options: ImageOptions): Promise<void> {
  const started = performance.now();
  const directory = await mkdtemp(join(tmpdir(), 'comio-image-'));
  try {
    const [base] = await Promise.all([
      ensureBase(docker, recipe, options),
      fetchNpmPackages(recipe, directory, options),
    ]);
    options.onProgress('Building the sandbox image');
    const context = await buildContext(recipe, directory);
    const answer = await docker.buildImage(context, {
      t: recipe.tag,
      buildargs: { BASE: base },
      rm: true,
      forcerm: true,
      ...(options.signal === undefined ? {} : { abortSignal: options.signal }),
    });
    await followProgress(answer, (text) => {
      const step = /^Step (\d+)\/(\d+)/.exec(text);
      if (step) options.onProgress(`Building the sandbox image, ${step[1]} of ${step[2]}`);
    });
    const ms = Math.round(performance.now() - started);
    options.log.info({ image: recipe.tag, base, ms }, 'built the sandbox image');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The registry's base if the daemon has or gets it, else our own. */
async function ensureBase(docker: Docker, recipe: Recipe, options: ImageOptions): Promise<string> {
  if (await exists(docker, REGISTRY_BASE)) return REGISTRY_BASE;
  if (await exists(docker, recipe.bootstrapTag)) return recipe.bootstrapTag;
  options.onProgress(`Fetching ${REGISTRY_BASE}`);
  try {
    const answer = await docker.pull(REGISTRY_BASE, { abortSignal: options.signal });
    await followProgress(answer, () => undefined);
    return REGISTRY_BASE;
  } catch (error) {
    options.signal?.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    options.log.info({ why }, 'no image registry reached: making the base image from Debian packages');
  }
  await bootstrapBase(docker, recipe, options);
  return recipe.bootstrapTag;
}

async function exists(docker: Docker, name: string): Promise<boolean> {
  try {
    await docker.getImage(name).inspect();
    return true;
  } catch (error) {
    if (hasStatus(error, 404)) return false;
    throw error;
  }
}

/** By the host's npm, which knows the registry, the proxy and the certificates of this place, and checks hashes. */
async function fetchNpmPackages(recipe: Recipe, directory: string, options: ImageOptions): Promise<void> {
  await Promise.all(
    recipe.npmPackages.map(async ({ spec, as }) => {
      await runHostCommand(['npm', 'pack', spec, '--loglevel=error', '--pack-destination', '.'], {
        cwd: await subdirectory(directory, as),
        signal: options.signal,
      });
    }),
  );
}

const subdirectory = (directory: string, name: string): Promise<string> =>
  mkdtemp(join(directory, `${name}-`));

async function buildContext(recipe: Recipe, directory: string): Promise<Readable> {
  const context = pack();
  const packed = await readdir(directory);
  const fill = async (): Promise<void> => {
    for (const [name, content] of recipe.files) context.entry({ name, mode: 0o644 }, content);
    for (const { spec, as } of recipe.npmPackages) {
      const folder = packed.find((name) => name.startsWith(`${as}-`)) ?? '';
      const [file] = await readdir(join(directory, folder));
      if (file === undefined) throw new SandboxError('image_failed', `npm pack ${spec} made no file`);
      const path = join(directory, folder, file);
      const { size } = await stat(path);
      await pipeline(createReadStream(path), context.entry({ name: as, size, mode: 0o644 }));
    }
    context.finalize();
  };
  fill().catch((error: unknown) => context.destroy(error instanceof Error ? error : undefined));
  return Readable.from(context);
}
