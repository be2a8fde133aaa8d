import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import type { ImageBuildOptions, ImageInspectInfo } from 'dockerode';
import { unless } from './daemon.ts';
import { chooseRecipe, DEFAULT_PORT, dockerfileOf } from './recipe.ts';
import { readSource, withFile } from './source.ts';
import { type BuildRequest, type Built, TargetError } from './target.ts';

/** The key, for people who look at the images. */
const LABEL_BUILD = 'comio.build';
const LABEL_RECIPE = 'comio.recipe';
const GENERATED = '.comio.Dockerfile';
/** Of one step of a build; what the code of a project may use up on this machine before anyone approved it. */
const BUILD_MEMORY_BYTES = 2048 * 1_048_576;
const BUILD_CPUS = 2;
const CPU_PERIOD_US = 100_000;
/** How much of the output an error carries. */
const MAX_DETAIL = 4000;

export interface BuildContext {
  docker: Docker;
  baseImage: (name: 'node' | 'python') => Promise<string>;
}

/** The image `tag`, built from the request's source unless the daemon has it. */
export async function buildImage(context: BuildContext, tag: string, request: BuildRequest): Promise<Built> {
  const there = await builtImage(context.docker, tag);
  if (there !== undefined) return there;
  const tree = await readSource(request.source);
  const recipe = tree.files.has('Dockerfile') ? undefined : chooseRecipe(tree);
  request.signal?.throwIfAborted();
  const labels = { [LABEL_BUILD]: request.key, [LABEL_RECIPE]: recipe?.kind ?? 'Dockerfile' };
  if (recipe === undefined) {
    await build(context.docker, request.source, request, { t: tag, labels });
  } else {
    request.onProgress?.(
      `No Dockerfile: building it as a ${recipe.kind === 'node' ? 'Node' : 'Python'} project`,
    );
    const dockerfile = dockerfileOf(recipe, await context.baseImage(recipe.kind));
    const networkmode = recipe.install.length > 0 ? 'default' : 'none';
    const source = await withFile(request.source, GENERATED, dockerfile);
    await build(context.docker, source, request, { t: tag, labels, dockerfile: GENERATED, networkmode });
  }
  const built = await builtImage(context.docker, tag);
  if (built === undefined)
    throw new TargetError('build_failed', 'The image was removed as soon as it was built');
  return built;
}

async function builtImage(docker: Docker, tag: string): Promise<Built | undefined> {
  const image = await unless([404], () => docker.getImage(tag).inspect());
  if (image === undefined) return undefined;
  // A volume is written to without a limit, on the disk of the host, however closed the rest of the app is.
  const volumes = Object.keys(image.Config.Volumes ?? {});
  if (volumes.length > 0)
    throw new TargetError(
      'build_failed',
      `The image declares VOLUME ${volumes.join(', ')}, and an app has no disk of its own here. Remove it from the ` +
        'Dockerfile, or take another base image; /tmp can be written to.',
    );
  const recipe = image.Config.Labels?.[LABEL_RECIPE];
  return {
    image: image.Id,
    recipe: recipe === 'node' || recipe === 'python' ? recipe : 'Dockerfile',
    port: portOf(image),
  };
}

/** What the image exposes, else what it sets PORT to, else the default that it is told. */
function portOf({ Config }: ImageInspectInfo): number {
  const exposed = Object.keys(Config.ExposedPorts ?? {})
    .filter((port) => port.endsWith('/tcp'))
    .map((port) => Number.parseInt(port, 10));
  const set = (Config.Env ?? []).flatMap((line) => /^PORT=(\d+)$/.exec(line)?.[1] ?? []).map(Number);
  const [port = DEFAULT_PORT] = [
    ...set.filter((one) => exposed.length === 0 || exposed.includes(one)),
    ...exposed,
  ];
  return port;
}

interface BuildLine {
  stream?: string;
  status?: string;
  id?: string;
  error?: string;
}

/** By the classic builder: BuildKit knows no limits for one build. */
async function build(
  docker: Docker,
  source: Buffer,
  { onProgress, signal }: BuildRequest,
  options: ImageBuildOptions,
): Promise<void> {
  let output = '';
  let step = { line: '', told: '' };
  const failed = (why: string): TargetError => {
    const from = /^FROM (?:--\S+ )*(\S+)/i.exec(step.line)?.[1];
    const message =
      from === undefined
        ? `The build failed${step.told && ` at ${step.told}`}: ${why}`
        : `The base image ${from} of the Dockerfile cannot be had here: ${why}. Name one that this Docker host ` +
          'has or can pull, or remove the Dockerfile to have one made for Node or Python.';
    return new TargetError('build_failed', message, { detail: output.trim().slice(-MAX_DETAIL) });
  };
  const answer = await docker.buildImage(Readable.from([source]), {
    version: '1',
    rm: true,
    forcerm: true,
    memory: BUILD_MEMORY_BYTES,
    memswap: BUILD_MEMORY_BYTES,
    cpuperiod: CPU_PERIOD_US,
    cpuquota: BUILD_CPUS * CPU_PERIOD_US,
    ...options,
    ...(signal === undefined ? {} : { abortSignal: signal }),
  });
  for await (const line of createInterface({ input: answer })) {
    if (line.trim() === '') continue;
    const { stream = '', status, error }: BuildLine = JSON.parse(line);
    if (error !== undefined) throw failed(error.trim().split('\n')[0] ?? '');
    output = (output + stream).slice(-2 * MAX_DETAIL);
    const begun = /^Step (\d+)\/(\d+) : ([^\n]*)/.exec(stream);
    if (begun !== null) {
      // The daemon adds a step for each label of ours.
      const [, number = '', total = '', line = ''] = begun;
      const own = Number(total) - Object.keys(options.labels ?? {}).length;
      if (Number(number) > own) continue;
      step = { line, told: `step ${number} of ${own}: ${line}` };
      onProgress?.(`Step ${number} of ${own}: ${line}`);
    } else if (status?.startsWith('Pulling from') === true) onProgress?.(status);
  }
  signal?.throwIfAborted();
}
