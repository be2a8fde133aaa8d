import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SlackPeer } from '../peers/slack.ts';
import type { Effects } from '../support/effects.ts';
import { createTestDatabase } from '../support/postgres.ts';
import {
  type CrashWorld,
  createCrashRun,
  createCrashWorld,
  createPatientSlack,
  expectNothingLeft,
  removeSandboxesOf,
  rowsOf,
} from './crash-run.ts';
import { type CrashingService, startCrashingService } from './crash-service.ts';

type Phase = 'import' | 'fix';

/** For each pair of processes the points at which, one run after the other, whoever works on it is killed. */
const POINTS: readonly (readonly [Phase, string])[][] = [
  [
    ['import', 'step 2 begun, phase "Cloning …" +80 ms'],
    ['fix', 'pull request open, not noted yet'],
    ['fix', 'step 7: step ended'],
  ],
  [
    ['import', 'message claimed'],
    ['fix', 'pushed, not noted yet'],
    ['fix', 'step 9: intent noted'],
  ],
  [
    [
      'fix',
      'step 2 begun, tool "Running `echo looked >> effects.log; sleep 0.4; echo seen >> effects…`" +300 ms',
    ],
    ['fix', 'sent, not noted yet: final message'],
  ],
];

interface Pair extends AsyncDisposable {
  slack: SlackPeer;
  processes: readonly CrashingService[];
  /** One that is up. */
  survivor(): CrashingService;
  finish(): Promise<Awaited<ReturnType<typeof rowsOf>>>;
}

/** Two processes on one database, with nothing else in common; Slack talks to one that is up. */
async function createPair(world: CrashWorld, name: string): Promise<Pair> {
  await using building = new AsyncDisposableStack();
  const { url } = building.use(await createTestDatabase());
  const slack = building.use(await createPatientSlack());
  const up = new Map<string, string>();
  const deliver = () => {
    const [first] = up.values();
    if (first !== undefined) slack.deliverTo(`${first}/slack/events`);
  };
  const processes: CrashingService[] = [];
  for (const side of ['a', 'b']) {
    const directory = join(world.directory, `${name}-${side}`);
    await mkdir(directory);
    const service = await startCrashingService({
      directory,
      env: { ...world.env(slack, join(directory, 'data')), DATABASE_URL: url },
      restart: false,
      onUp: (address) => {
        up.set(side, address);
        deliver();
      },
      onDown: () => {
        up.delete(side);
        deliver();
        // What killed the one is not to kill the other, which comes by the same point.
        for (const other of processes) other.arm([]);
      },
    });
    processes.push(building.use(service));
  }
  const held = building.move();
  const finish = async () => {
    await Promise.all(processes.map((service) => service.stop()));
    return rowsOf({ dataDir: '', url });
  };
  return {
    slack,
    processes,
    survivor() {
      const found = processes.find((service) => service.current() !== undefined);
      if (!found) throw new Error('both processes are down');
      return found;
    },
    finish,
    async [Symbol.asyncDispose]() {
      await removeSandboxesOf((await finish()).runs);
      await held.disposeAsync();
    },
  };
}

describe('two processes on one PostgreSQL', () => {
  let world: CrashWorld;
  let pairs: Pair[];
  let expected: Effects;

  beforeAll(async () => {
    world = await createCrashWorld();
    pairs = await Promise.all(POINTS.map((_, index) => createPair(world, `pair-${index}`)));
    const [first] = pairs;
    if (!first) throw new Error('there is no pair');
    const run = await createCrashRun(world, first.slack, 'uninterrupted');
    await run.import();
    await run.fix();
    await first.survivor().idle();
    expected = await run.effects();
    expect(expected).toMatchObject({ branches: 2, pushes: 1, pullRequests: [{ state: 'open' }] });
    expect(expected.commits).toHaveLength(1);
    expect(expected.messages).toHaveLength(4);
  });
  afterAll(async () => {
    await Promise.all((pairs ?? []).map((pair) => pair[Symbol.asyncDispose]()));
    await world?.[Symbol.asyncDispose]();
  });

  it('the other goes on where one is killed, and every effect is there once', {
    timeout: 600_000,
  }, async () => {
    async function work(index: number, points: (typeof POINTS)[number]): Promise<void> {
      const pair = pairs[index];
      if (!pair) throw new Error(`there is no pair ${index}`);
      const runs = [];
      for (const [position, [phase, point]] of points.entries()) {
        const run = await createCrashRun(world, pair.slack, `shared-${index}-${position}`);
        runs.push(run);
        for (const now of ['import', 'fix'] as const) {
          if (now === phase) for (const service of pair.processes) service.arm([point]);
          await run[now]().catch((error: unknown) => {
            const stories = pair.processes.map((service) => service.story());
            throw new Error(`${phase}, ${point}:\n${stories.join('\n\n')}`, { cause: error });
          });
          await pair.survivor().idle();
        }
        const [dead, ...more] = pair.processes.filter((service) => service.current() === undefined);
        expect(more, `killed at ${point}`).toEqual([]);
        expect(dead?.killedAt.at(-1)).toBe(point);
        console.log(`${phase}: killed at ${point}; the other one finished`);
        await dead?.revive();
      }
      const rows = await pair.finish();
      for (const run of runs) expect.soft(await run.effects(), run.repository).toEqual(expected);
      const all = runs.length + (index === 0 ? 1 : 0);
      await expectNothingLeft(rows, { runs: all, messages: 2 * all });
    }
    const results = await Promise.allSettled(POINTS.map((points, index) => work(index, points)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  });
});
