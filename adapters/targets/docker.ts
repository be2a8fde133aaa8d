import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { ContainerInspectInfo } from 'dockerode';
import { z } from 'zod';
import type { Logger } from '#observability/log.ts';
import { createContainer } from './create-container.ts';
import { unless, withDaemon } from './daemon.ts';
import { buildImage } from './docker-build.ts';
import {
  appOptions,
  LABEL_KEY,
  LABEL_LABELS,
  LABEL_PORT,
  LABEL_ROLE,
  LABEL_TARGET,
} from './docker-container.ts';
import { addressOf, openGate } from './docker-gate.ts';
import { linesOf, MAX_LOG_LINES } from './log-lines.ts';
import { type Instance, type Target, TargetError } from './target.ts';

export interface DockerTargetOptions {
  docker: Docker;
  /** An image with Node 24 and npm, or Python 3.11 or later, for what is built without a Dockerfile and for gates. */
  baseImage: (name: 'node' | 'python') => Promise<string>;
  log: Logger;
  /** What another namespace runs on the same daemon is not seen. */
  namespace?: string | undefined;
}

/** SIGKILL. */
const KILLED = 137;

/**
 * Images and containers on one Docker host. An instance is two containers, the app and its gate, named after its key,
 * so that of two who start it at the same time the daemon lets the first win. The core runs on the Docker host, which
 * alone has a route to the containers.
 */
export function createDockerTarget({
  docker,
  baseImage,
  log,
  namespace = 'comio',
}: DockerTargetOptions): Target {
  const nameOf = (key: string): string => `${namespace}-app-${hash(key)}`;
  const gateOf = (name: string): string => `${name}-gate`;

  const inspect = (name: string): Promise<ContainerInspectInfo | undefined> =>
    unless([404], () => docker.getContainer(name).inspect());

  async function toInstance(name: string): Promise<Instance | undefined> {
    const info = await inspect(name);
    // One that was made and not started is none yet: start goes on with it.
    if (info === undefined || info.State.Status === 'created' || info.State.Status === 'removing')
      return undefined;
    const { Labels } = info.Config;
    const host = await addressOf(docker, gateOf(name));
    // Without its gate nothing reaches it, whatever its process does.
    const running = info.State.Running && host !== undefined;
    return {
      id: info.Id,
      key: Labels[LABEL_KEY] ?? '',
      address: { host: host ?? '', port: Number(Labels[LABEL_PORT]) },
      state: running ? 'running' : 'exited',
      exitCode: running ? undefined : info.State.Running ? KILLED : info.State.ExitCode,
      startedAt: new Date(info.State.StartedAt),
      labels: z.record(z.string(), z.string()).parse(JSON.parse(Labels[LABEL_LABELS] ?? '{}')),
    };
  }

  async function remove(name: string): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      // 409: its removal is under way.
      await unless([404, 409], () => docker.getContainer(name).remove({ force: true, v: true }));
      if ((await inspect(name)) === undefined) return;
      if (attempt === 100)
        throw new TargetError('unavailable', `Docker does not remove the container ${name}`);
      await delay(100);
    }
  }

  return {
    name: 'docker',

    build: (request) =>
      withDaemon(
        'build_failed',
        async () => {
          const tag = `${namespace}-app:${hash(request.key)}`;
          const started = performance.now();
          const built = await buildImage({ docker, baseImage }, tag, request);
          const ms = Math.round(performance.now() - started);
          log.info({ build: request.key, ...built, ms }, 'image is there');
          return built;
        },
        request.signal,
      ),

    start: (spec, signal) =>
      withDaemon(
        'start_failed',
        async () => {
          const name = nameOf(spec.key);
          const there = await toInstance(name);
          if (there !== undefined) return there;
          const image = await baseImage('python');
          signal?.throwIfAborted();
          const gate = gateOf(name);
          try {
            await openGate(docker, { name: gate, image, namespace, key: spec.key });
            await createContainer(docker, name, appOptions(gate, namespace, spec));
            await unless([304], () => docker.getContainer(name).start());
          } catch (error) {
            // What cannot be started leaves nothing behind.
            await remove(name);
            await remove(gate);
            throw error;
          }
          const started = await toInstance(name);
          if (started === undefined)
            throw new TargetError('start_failed', 'The app was removed as it was started');
          return started;
        },
        signal,
      ),

    instance: (key) => withDaemon('unavailable', () => toInstance(nameOf(key))),

    list: () =>
      withDaemon('unavailable', async () => {
        const filters = JSON.stringify({ label: [`${LABEL_TARGET}=${namespace}`, `${LABEL_ROLE}=app`] });
        const found = await docker.listContainers({ all: true, filters });
        const names = found.map(({ Names }) => (Names[0] ?? '').replace(/^\//, ''));
        return (await Promise.all(names.map(toInstance))).filter((one) => one !== undefined);
      }),

    logs: (key, { lines, since, until }) =>
      withDaemon('unavailable', async () => {
        const tail = Math.min(lines, MAX_LOG_LINES);
        const frames = await unless([404, 409], () =>
          docker.getContainer(nameOf(key)).logs({
            stdout: true,
            stderr: true,
            follow: false,
            // The daemon takes the tail first, and of that what is in time: of what came before others all is asked for,
            // which the size of its files bounds.
            ...(until === undefined ? { tail } : { until: endOf(until) }),
            ...(since === undefined ? {} : { since: (since.getTime() / 1000).toFixed(3) }),
          }),
        );
        return frames === undefined ? [] : linesOf(frames).slice(-tail);
      }),

    stop: (key, graceMs) =>
      withDaemon('unavailable', async () => {
        const name = nameOf(key);
        await unless([304, 404], () => docker.getContainer(name).stop({ t: Math.ceil(graceMs / 1000) }));
        await remove(name);
        await remove(gateOf(name));
      }),

    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** The daemon takes what was printed at the very end for before it: this is the last nanosecond before `date`. */
const endOf = (date: Date): string => `${((date.getTime() - 1) / 1000).toFixed(3)}999999`;

const hash = (key: string): string => createHash('sha256').update(key).digest('hex').slice(0, 24);
