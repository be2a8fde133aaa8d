import type { Logger } from '#observability/log.ts';
import type { Sandbox, SandboxDriver, SandboxSpec } from './sandbox.ts';
import { checkpoint, isRepository } from './workspace-git.ts';

/** Who uses a sandbox says so; one that nobody used for a while is stopped, its files kept. */
export interface SandboxManager {
  /** The sandbox of the spec's key, made, started or found running, and in use from now on. */
  acquire(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox>;
  /** Still in use. */
  touch(id: string): void;
  /**
   * Stops what has been idle for too long, after a checkpoint of its workspace, and returns their ids. A running
   * sandbox of unknown history (this process has just started) counts as used when it is first seen.
   */
  stopIdle(): Promise<string[]>;
}

export interface SandboxManagerOptions {
  driver: SandboxDriver;
  log: Logger;
  /** Milliseconds. Default: half an hour. */
  idleMs?: number;
  /** Milliseconds on any clock that does not jump. */
  now?: () => number;
}

export function createSandboxManager({
  driver,
  log,
  idleMs = 1_800_000,
  now = () => performance.now(),
}: SandboxManagerOptions): SandboxManager {
  const used = new Map<string, number>();

  const stop = async (id: string): Promise<boolean> => {
    const sandbox = await driver.open(id);
    if (sandbox === undefined) return false;
    if (await isRepository(sandbox)) await checkpoint(sandbox, 'idle');
    // Taken up again in the meantime.
    if (now() - (used.get(id) ?? 0) < idleMs) return false;
    await sandbox.stop();
    return true;
  };

  return {
    async acquire(spec, signal) {
      const sandbox = await driver.create(spec, signal);
      used.set(sandbox.id, now());
      return sandbox;
    },
    touch(id) {
      used.set(id, now());
    },
    async stopIdle() {
      const running = (await driver.list()).filter((info) => info.state === 'running').map((info) => info.id);
      for (const id of used.keys()) if (!running.includes(id)) used.delete(id);
      const stopped: string[] = [];
      for (const id of running) {
        const last = used.get(id);
        if (last === undefined) used.set(id, now());
        if (last === undefined || now() - last < idleMs) continue;
        try {
          if (await stop(id)) stopped.push(id);
        } catch (error) {
          log.warn(
            { sandbox: id, error },
            'an idle sandbox could not be stopped; tried again with the next sweep',
          );
        }
      }
      return stopped;
    },
  };
}
