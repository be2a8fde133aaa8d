import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { Logger } from '#observability/log.ts';
import { createDockerClient, hasStatus, withDaemon } from '../docker-client.ts';
import { ensureImage } from '../image/image.ts';
import { type Sandbox, type SandboxDriver, SandboxError, type SandboxSpec } from '../sandbox.ts';
import { containerOptions, LABEL_KEY, LABEL_SANDBOX } from './docker-container.ts';
import { createDockerSandbox } from './docker-sandbox.ts';

export interface DockerDriverOptions {
  /** As in DOCKER_HOST; undefined: the local socket. */
  dockerHost: string | undefined;
  log: Logger;
}

/**
 * A container and two volumes for each sandbox. All are named after the sandbox's key, so that of two who create one
 * at the same time the daemon lets the first win; the name is the sandbox's id.
 */
export function createDockerDriver(options: DockerDriverOptions): SandboxDriver {
  const docker = createDockerClient(options.dockerHost);
  const sandboxes = new Map<string, ReturnType<typeof createDockerSandbox>>();
  let image: Promise<string> | undefined;

  const imageFor = (spec: SandboxSpec, signal: AbortSignal | undefined): Promise<string> => {
    const onProgress = spec.onProgress ?? (() => undefined);
    const ensuring = image ?? ensureImage(docker, { log: options.log, onProgress, signal });
    image = ensuring;
    ensuring.catch(() => {
      image = undefined;
    });
    return ensuring;
  };

  const handle = (id: string, key: string): Sandbox => {
    const known = sandboxes.get(id);
    if (known !== undefined) return known.sandbox;
    const made = createDockerSandbox({ docker, id, key, onDestroyed: () => sandboxes.delete(id) });
    sandboxes.set(id, made);
    return made.sandbox;
  };

  return {
    name: 'docker',
    supports: { isolation: true, network: true, limits: true },

    create: (spec, signal) =>
      withDaemon('create_failed', async () => {
        const id = idOf(spec.key);
        const tag = await imageFor(spec, signal);
        signal?.throwIfAborted();
        if ((await keyOf(docker, id)) === undefined) {
          spec.onProgress?.('Starting the sandbox');
          await createContainer(docker, id, tag, spec);
        }
        const sandbox = handle(id, spec.key);
        await sandbox.start();
        return sandbox;
      }),

    open: (id) =>
      withDaemon('io_failed', async () => {
        if (!/^comio-[0-9a-f]{24}$/.test(id)) return undefined;
        const key = await keyOf(docker, id);
        return key === undefined ? undefined : handle(id, key);
      }),

    list: () =>
      withDaemon('io_failed', async () => {
        const filters = JSON.stringify({ label: [`${LABEL_SANDBOX}=1`] });
        const containers = await docker.listContainers({ all: true, filters });
        return containers.map((container) => ({
          id: (container.Names[0] ?? '').replace(/^\//, ''),
          key: container.Labels[LABEL_KEY] ?? '',
          state: container.State === 'running' ? 'running' : 'stopped',
        }));
      }),

    async [Symbol.asyncDispose]() {
      const all = [...sandboxes.values()];
      sandboxes.clear();
      await Promise.all(all.map((made) => made.disconnect()));
    },
  };
}

const idOf = (key: string): string => `comio-${createHash('sha256').update(key).digest('hex').slice(0, 24)}`;

/** The key a sandbox was made with; undefined when there is no sandbox of this id. */
async function keyOf(docker: Docker, id: string): Promise<string | undefined> {
  try {
    const { Config } = await docker.getContainer(id).inspect();
    return Config.Labels[LABEL_KEY];
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

async function createContainer(docker: Docker, id: string, image: string, spec: SandboxSpec): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await docker.createContainer(containerOptions(id, image, spec));
      return;
    } catch (error) {
      if (!hasStatus(error, 409)) throw error;
      // The name is taken: by another who created it just now, or by one whose removal has not ended yet.
      if ((await keyOf(docker, id)) !== undefined) return;
      if (attempt === 50) {
        throw new SandboxError('create_failed', `Docker keeps the name ${id} for nothing it shows`, {
          cause: error,
        });
      }
      await delay(100);
    }
  }
}
