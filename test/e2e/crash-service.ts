import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Service, startService } from '../support/service.ts';
import { createNamer } from './crash-points.ts';

/** A service that dies at chosen points. */
export interface CrashingService extends AsyncDisposable {
  /** Kills at each of these points when it is next reached, once; replaces what was armed before. */
  arm(points: readonly string[]): void;
  /** Armed and not reached yet. */
  armed(): string[];
  /** Where it was killed so far, in order. */
  readonly killedAt: string[];
  /** Every point it passed, of all its processes; `mark` empties it. */
  passed(): string[];
  mark(): void;
  /** Nothing is left to do or to send; it is up. Throws when the service ended by itself. */
  idle(ms?: number): Promise<void>;
  /** Where it was killed and what it said last, for whoever has to find out why something did not happen. */
  story(): string;
  /** The process of now; undefined between two. */
  current(): Service | undefined;
  /** Starts it again, where it is not by itself. */
  revive(): Promise<void>;
  /** Ends it in order and stays down. */
  stop(): Promise<void>;
}

const HOOK = new URL('crash-hook.ts', import.meta.url);
const POLL_MS = 100;

/** One sample of the service's metrics; NaN where it is not there. */
export const sample = (metrics: string, name: string): number =>
  Number(new RegExp(`^${name} (\\d+)`, 'm').exec(metrics)?.[1] ?? Number.NaN);

/** Turns that are open and messages that are to be sent. */
export const turnsAndSends = (metrics: string): number =>
  sample(metrics, 'comio_turns_open') + sample(metrics, 'comio_outbox_pending');

/**
 * Starts it on points written into `directory`. It is started again on the same data whenever it was killed, as a process
 * supervisor does it; with `restart: false` it stays down until `revive`. `onUp` is told every new process's address.
 */
export async function startCrashingService(options: {
  directory: string;
  env: Record<string, string>;
  onUp: (url: string) => void;
  onDown?: () => void;
  restart?: boolean;
  /** What is left to do, by the service's metrics; default: open turns and what is to be sent. */
  left?: (metrics: string) => number;
}): Promise<CrashingService> {
  const file = join(options.directory, 'points');
  const hits = `${file}.hit`;
  const killedAt: string[] = [];
  let points: string[] = [];
  let passed: string[] = [];
  let name = createNamer();
  let service: Service | undefined;
  let stopping = false;
  let broken: unknown;
  let watching: Promise<void> = Promise.resolve();

  const arm = (wanted: readonly string[]) => {
    points = [...wanted];
    writeFileSync(file, points.join('\n'));
  };

  /** What the process that died was killed at; false when it was not by us. */
  function takeHits(): boolean {
    if (!existsSync(hits)) return false;
    const all = readFileSync(hits, 'utf8').split('\n').filter(Boolean);
    const fresh = all.slice(killedAt.length);
    killedAt.push(...fresh);
    arm(points.filter((point) => !fresh.includes(point)));
    return fresh.length > 0;
  }

  async function up(): Promise<void> {
    for (;;) {
      try {
        const started = await startService(
          { ...options.env, CRASH_POINTS: file },
          {
            preload: HOOK,
            shortLived: true,
            onRecord: (record) => {
              const point = name(record);
              if (point !== undefined) passed.push(point);
            },
          },
        );
        service = started;
        options.onUp(started.url);
        watching = watch(started);
        return;
      } catch (error) {
        // It goes on with the work before it listens, and can be killed there.
        if (!takeHits()) throw error;
        if (options.restart === false) return;
      }
    }
  }

  async function watch(started: Service): Promise<void> {
    await started.ended;
    service = undefined;
    if (stopping) return;
    options.onDown?.();
    if (!takeHits()) {
      broken = new Error(`the service ended by itself: ${JSON.stringify(started.records.slice(-5))}`);
      return;
    }
    if (options.restart !== false) await up().catch((error: unknown) => (broken = error));
  }

  async function pending(): Promise<number | undefined> {
    if (!service) return undefined;
    try {
      const answer = await fetch(`${service.url}/metrics`, { signal: AbortSignal.timeout(5000) });
      return (options.left ?? turnsAndSends)(await answer.text());
    } catch {
      // It was killed meanwhile.
      return undefined;
    }
  }

  function story(): string {
    const last = service?.records.slice(-25).map((record) => JSON.stringify(record)) ?? ['(it is down)'];
    return `killed at ${killedAt.join(', ')}; now\n${last.join('\n')}`;
  }

  async function stop(): Promise<void> {
    stopping = true;
    await service?.terminate();
    await watching;
  }

  arm([]);
  await up();
  return {
    arm: (wanted) => {
      name = createNamer();
      arm(wanted);
    },
    armed: () => [...points],
    killedAt,
    passed: () => [...passed],
    mark() {
      passed = [];
      name = createNamer();
    },
    async idle(ms = 240_000) {
      for (const until = Date.now() + ms; Date.now() < until; ) {
        if (broken) throw broken;
        if ((await pending()) === 0) return;
        await sleep(POLL_MS);
      }
      throw new Error(`the service does not come to rest: ${story()}`);
    },
    story,
    current: () => service,
    revive: up,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
