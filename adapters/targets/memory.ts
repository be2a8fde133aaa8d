import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { extract } from 'tar-stream';
import { z } from 'zod';
import { bounded } from './log-lines.ts';
import { chooseRecipe, DEFAULT_PORT } from './recipe.ts';
import { readSource } from './source.ts';
import { type Instance, type InstanceSpec, type Target, TargetError } from './target.ts';

export interface MemoryTargetOptions {
  /** Where builds and instances are kept; they then outlive the target. Default: a directory of its own, removed with it. */
  directory?: string | undefined;
}

const specSchema = z.object({ key: z.string(), labels: z.record(z.string(), z.string()) });
const startedSchema = z.object({
  /** Leads the process group of the app. */
  pid: z.number().int().min(2),
  supervisor: z.number(),
  port: z.number(),
  startedAt: z.number(),
});
const endedSchema = z.object({ exitCode: z.number() });
const builtSchema = z.object({ command: z.string() });

const SUPERVISOR = join(import.meta.dirname, 'memory-supervisor.ts');
/** Loading TypeScript anew takes most of the supervisor's start. */
const NODE_COMPILE_CACHE = join(import.meta.dirname, '../../node_modules/.cache/comio');
/** Of an app whose supervisor was killed too. */
const KILLED = 137;
const LOOK_MS = 20;

/**
 * Node projects as host processes on 127.0.0.1, for tests of the core: nothing is isolated or limited, nothing is
 * installed, and no Dockerfile is read. What an instance is stands in its directory, so another target on the same
 * directory, also after the process of the first was killed, finds it.
 */
export function createMemoryTarget(options: MemoryTargetOptions = {}): Target {
  let home: Promise<string> | undefined;
  const root = (): Promise<string> => {
    home ??= (async () => {
      const { directory } = options;
      if (directory !== undefined) await mkdir(directory, { recursive: true });
      return await realpath(directory ?? (await mkdtemp(join(tmpdir(), 'comio-target-'))));
    })();
    return home;
  };
  const directoryOf = async (kind: 'builds' | 'instances', key: string): Promise<string> => {
    const id = createHash('sha256').update(key).digest('hex').slice(0, 24);
    return join(await root(), kind, id);
  };

  async function instanceIn(directory: string): Promise<Instance | undefined> {
    const [spec, started, ended] = await Promise.all([
      readJson(join(directory, 'spec.json'), specSchema),
      readJson(join(directory, 'started.json'), startedSchema),
      readJson(join(directory, 'ended.json'), endedSchema),
    ]);
    if (spec === undefined || started === undefined) return undefined;
    const running = ended === undefined && isAlive(started.supervisor);
    return {
      id: directory,
      key: spec.key,
      address: { host: '127.0.0.1', port: started.port },
      state: running ? 'running' : 'exited',
      exitCode: running ? undefined : (ended?.exitCode ?? KILLED),
      startedAt: new Date(started.startedAt),
      labels: spec.labels,
    };
  }

  async function start(spec: InstanceSpec, signal?: AbortSignal): Promise<Instance> {
    const directory = await directoryOf('instances', spec.key);
    const there = await instanceIn(directory);
    if (there !== undefined) return there;
    const built = await readJson(join(spec.image, 'built.json'), builtSchema);
    if (built === undefined)
      throw new TargetError('start_failed', `There is no build ${spec.image}. Build it again.`);
    signal?.throwIfAborted();
    await mkdir(directory, { recursive: true });
    await putJson(directory, 'spec.json', { key: spec.key, labels: spec.labels });
    const environment = {
      PATH: [dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter),
      HOME: directory,
      NODE_ENV: 'production',
      ...spec.env,
    };
    const supervisor = spawn(
      process.execPath,
      [SUPERVISOR, directory, join(spec.image, 'source'), built.command, JSON.stringify(environment)],
      { detached: true, stdio: 'ignore', env: { NODE_COMPILE_CACHE } },
    );
    supervisor.unref();
    const gone = new Promise<true>((done) => {
      supervisor.once('exit', () => done(true));
      supervisor.once('error', () => done(true));
    });
    // One that ends at once lost against another's, which is about to tell.
    for (let looksAfter = 0; looksAfter < 500; ) {
      const found = await instanceIn(directory);
      if (found !== undefined) return found;
      if ((await Promise.race([gone, delay(LOOK_MS, false)])) === true) {
        looksAfter++;
        await delay(LOOK_MS);
      }
    }
    throw new TargetError('start_failed', `The process of ${spec.key} could not be started`);
  }

  async function end(directory: string, graceMs: number): Promise<void> {
    const started = await readJson(join(directory, 'started.json'), startedSchema);
    if (started !== undefined) {
      const over = async (): Promise<boolean> =>
        !isAlive(started.supervisor) ||
        (await readJson(join(directory, 'ended.json'), endedSchema)) !== undefined;
      if (!(await over())) kill(-started.pid, 'SIGTERM');
      for (let waited = 0; waited < graceMs && !(await over()); waited += LOOK_MS) await delay(LOOK_MS);
      // Its children too, whatever became of itself.
      do {
        kill(-started.pid, 'SIGKILL');
        await delay(LOOK_MS);
      } while (!(await over()));
    }
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }

  const instanceDirectories = async (): Promise<string[]> => {
    const parent = join(await root(), 'instances');
    await mkdir(parent, { recursive: true });
    return (await readdir(parent)).map((name) => join(parent, name));
  };

  return {
    name: 'memory',

    async build({ key, source, onProgress, signal }) {
      const image = await directoryOf('builds', key);
      const built = { image, recipe: 'node' as const, port: DEFAULT_PORT };
      if ((await readJson(join(image, 'built.json'), builtSchema)) !== undefined) return built;
      const { kind, install, build, command } = chooseRecipe(await readSource(source));
      if (kind !== 'node')
        throw new TargetError('no_recipe', `Only Node projects run here; this one is ${kind}.`);
      if (install.length > 0 || build.length > 0) {
        throw new TargetError(
          'no_recipe',
          'Nothing is installed or built here. Use a project without dependencies.',
        );
      }
      signal?.throwIfAborted();
      onProgress?.('Unpacking the project');
      await unpack(source, join(image, 'source'));
      await putJson(image, 'built.json', { command });
      return built;
    },

    start,
    instance: async (key) => await instanceIn(await directoryOf('instances', key)),
    async list() {
      const found = await Promise.all((await instanceDirectories()).map(instanceIn));
      return found.filter((one) => one !== undefined);
    },
    async logs(key, { lines, since, until }) {
      const path = join(await directoryOf('instances', key), 'log');
      const found: string[] = [];
      try {
        for await (const line of createInterface({ input: createReadStream(path) })) {
          const space = line.indexOf(' ');
          const at = Number(line.slice(0, space));
          if (since !== undefined && at < since.getTime()) continue;
          if (until !== undefined && at >= until.getTime()) continue;
          found.push(line.slice(space + 1));
        }
      } catch (error) {
        if (!isErrno(error, 'ENOENT')) throw error;
      }
      return bounded(found.slice(-lines));
    },
    stop: async (key, graceMs) => await end(await directoryOf('instances', key), graceMs),
    async [Symbol.asyncDispose]() {
      if (home === undefined || options.directory !== undefined) return;
      await Promise.all((await instanceDirectories()).map((directory) => end(directory, 0)));
      await rm(await home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function unpack(source: Buffer, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for await (const entry of Readable.from([source]).pipe(extract())) {
    const path = resolve(directory, entry.header.name);
    if (entry.header.type === 'file' && !relative(directory, path).startsWith('..')) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, await buffer(entry));
    } else entry.resume();
  }
}

async function putJson(directory: string, name: string, content: object): Promise<void> {
  const path = join(directory, name);
  const part = `${path}.${process.pid}.${performance.now()}`;
  await writeFile(part, JSON.stringify(content));
  await rename(part, path);
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return false;
    throw error;
  }
}

const isAlive = (pid: number): boolean => kill(pid, 0);

const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
