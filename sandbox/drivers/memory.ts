import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { isErrno } from '../agent/paths.ts';
import { collectPipe } from '../agent/pipe.ts';
import { killMarked } from '../agent/processes.ts';
import { gitGrep } from '../agent/search.ts';
import { createWorkspace, type Workspace } from '../agent/workspace.ts';
import {
  DEFAULT_PIPE_BYTES,
  type Sandbox,
  type SandboxDriver,
  SandboxError,
  type SandboxState,
} from '../sandbox.ts';

export interface MemoryDriverOptions {
  /** Where sandboxes are kept; they then outlive the driver. Default: a directory of its own, removed with it. */
  directory?: string | undefined;
}

/**
 * Sandboxes without isolation, for tests of the core: a directory on the host and host processes
 * with an environment of their own. Never for code nobody here wrote.
 */
export function createMemoryDriver(options: MemoryDriverOptions = {}): SandboxDriver {
  const sandboxes = new Map<string, Promise<Sandbox | undefined>>();
  let home: Promise<string> | undefined;

  const root = (): Promise<string> => {
    home ??= (async () => {
      if (options.directory === undefined) {
        return await realpath(await mkdtemp(join(tmpdir(), 'comio-')));
      }
      await mkdir(options.directory, { recursive: true });
      return await realpath(options.directory);
    })();
    return home;
  };

  const load = (id: string): Promise<Sandbox | undefined> => {
    const known = sandboxes.get(id);
    if (known !== undefined) return known;
    const loading = root().then(async (directory) => {
      const key = await readKey(join(directory, id));
      if (key === undefined) return undefined;
      return createSandbox(join(directory, id), id, key, () => sandboxes.delete(id));
    });
    sandboxes.set(id, loading);
    loading.then(
      (found) => found ?? sandboxes.delete(id),
      () => sandboxes.delete(id),
    );
    return loading;
  };

  return {
    name: 'memory',
    supports: { isolation: false, network: false, limits: false },
    async create(spec, signal) {
      signal?.throwIfAborted();
      const id = createHash('sha256').update(spec.key).digest('hex').slice(0, 24);
      const directory = join(await root(), id);
      for (const name of ['workspace', 'home', 'tmp', 'state']) {
        await mkdir(join(directory, name), { recursive: true });
      }
      await writeFile(join(directory, 'home/.gitconfig'), GIT_CONFIG);
      // Of its own name: another may make the same sandbox at this moment.
      const written = join(directory, `key.${randomUUID()}`);
      await writeFile(written, spec.key);
      await rename(written, join(directory, 'key'));
      const sandbox = await load(id);
      if (sandbox === undefined)
        throw new SandboxError('create_failed', `${spec.key} vanished as it was made`);
      await sandbox.start();
      return sandbox;
    },
    open: load,
    async list() {
      const directory = await root();
      const found = await Promise.all((await readdir(directory)).map(load));
      return await Promise.all(
        found
          .filter((sandbox) => sandbox !== undefined)
          .map(async (sandbox) => ({ id: sandbox.id, key: sandbox.key, state: await sandbox.state() })),
      );
    },
    async [Symbol.asyncDispose]() {
      if (home === undefined) return;
      const directory = await home;
      if (options.directory !== undefined) return;
      const ids = await readdir(directory);
      for (const id of ids) killMarked(markerOf(id));
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
      sandboxes.clear();
    },
  };
}

/** What the image's /etc/gitconfig says, for commands that commit. */
const GIT_CONFIG = '[user]\n\tname = Comio\n\temail = comio@localhost\n[init]\n\tdefaultBranch = main\n';

const markerOf = (id: string): string => `COMIO_SANDBOX=${id}`;

function createSandbox(directory: string, id: string, key: string, onDestroyed: () => void): Sandbox {
  const root = join(directory, 'workspace');
  const stoppedMark = join(directory, 'stopped');
  const workspace = createWorkspace({
    root,
    stateDirectory: join(directory, 'state'),
    runDirectory: join(directory, 'tmp'),
    environment: {
      PATH: [dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter),
      HOME: join(directory, 'home'),
      TMPDIR: join(directory, 'tmp'),
      LANG: 'C.UTF-8',
      COMIO_SANDBOX: id,
    },
    aloneHere: false,
    search: gitGrep,
  });

  const state = async (): Promise<SandboxState> => {
    if (!existsSync(directory)) throw new SandboxError('not_found', `The sandbox ${key} is gone`);
    return existsSync(stoppedMark) ? 'stopped' : 'running';
  };
  const running = (): Workspace => {
    if (existsSync(directory) && !existsSync(stoppedMark)) return workspace;
    throw new SandboxError('not_running', `The sandbox ${key} does not run`);
  };
  return {
    id,
    key,
    files: {
      read: async (path) => running().files.read(path),
      write: async (path, content) => running().files.write(path, content),
      remove: async (path) => running().files.remove(path),
      makeDirectory: async (path) => running().files.makeDirectory(path),
      list: async (path, options) => running().files.list(path, options),
      search: async (options) => running().files.search(options),
    },
    exec: async (command, options) => running().exec(command, options),
    async pipe(argv, options = {}) {
      const { maxBytes = DEFAULT_PIPE_BYTES } = options;
      const refusing = new AbortController();
      const signal = AbortSignal.any([refusing.signal, ...(options.signal ? [options.signal] : [])]);
      const pipe = await running().pipe(argv, { ...options, signal });
      if (options.stdin !== undefined) pipe.write(options.stdin);
      pipe.end();
      return await collectPipe(pipe, { maxBytes, program: argv[0], abort: () => refusing.abort() });
    },
    state,
    async stop() {
      if ((await state()) === 'stopped') return;
      await writeFile(stoppedMark, '');
      workspace.endAll();
      killMarked(markerOf(id));
    },
    async start() {
      await state();
      await rm(stoppedMark, { force: true });
    },
    async destroy() {
      workspace.endAll();
      killMarked(markerOf(id));
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
      onDestroyed();
    },
  };
}

async function readKey(directory: string): Promise<string | undefined> {
  try {
    return await readFile(join(directory, 'key'), 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}
