import { setTimeout as sleep } from 'node:timers/promises';
import type { Instance } from '#adapters/targets/target.ts';

/** A release that does not come up. The message is for people. */
export class Unhealthy extends Error {
  override readonly name = 'Unhealthy';
}

export interface HealthTiming {
  /** Milliseconds between two checks. */
  everyMs: number;
  /** Milliseconds until it is given up. */
  limitMs: number;
}

/** As many good answers in a row make an instance healthy. */
export const GOOD_CHECKS = 2;
/** Where health is asked for, until a path is there. */
const PATHS = ['/healthz', '/health', '/'];
/** Milliseconds for one answer. */
const ANSWER_MS = 5000;

/**
 * Resolves when the instance has answered well twice in a row: with 2xx or 3xx to the first of
 * `GET /healthz`, `GET /health`, `GET /` that is not 404. Throws {@link Unhealthy} when it has ended or the time is up.
 */
export async function untilHealthy(options: {
  instance: () => Promise<Instance | undefined>;
  onGood: (count: number) => Promise<void>;
  timing: HealthTiming;
  signal: AbortSignal;
}): Promise<void> {
  const { timing, signal } = options;
  const until = performance.now() + timing.limitMs;
  let good = 0;
  for (;;) {
    signal.throwIfAborted();
    const instance = await options.instance();
    if (!instance || instance.state === 'exited')
      throw new Unhealthy(
        `It ended with exit code ${instance?.exitCode ?? 'unknown'} before it was healthy.`,
      );
    const answer = await check(instance.address, signal);
    good = answer.good ? good + 1 : 0;
    if (good > 0) await options.onGood(good);
    if (good >= GOOD_CHECKS) return;
    if (performance.now() >= until)
      throw new Unhealthy(`It was not healthy within ${Math.ceil(timing.limitMs / 1000)} s: ${answer.said}.`);
    await sleep(timing.everyMs, undefined, { signal });
  }
}

async function check(
  { host, port }: Instance['address'],
  signal: AbortSignal,
): Promise<{ good: boolean; said: string }> {
  try {
    const get = async (path: string): Promise<number> => {
      const response = await fetch(`http://${host}:${port}${path}`, {
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
      });
      await response.body?.cancel();
      return response.status;
    };
    let said = '';
    for (const path of PATHS) {
      const status = await get(path);
      if (status >= 200 && status < 400) return { good: true, said };
      said = `GET ${path} is answered with ${status}`;
      if (status !== 404) break;
    }
    return { good: false, said };
  } catch (error) {
    signal.throwIfAborted();
    const cause =
      error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    return { good: false, said: `it does not answer (${cause})` };
  }
}
