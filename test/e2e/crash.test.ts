import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SlackPeer } from '../peers/slack.ts';
import type { Effects } from '../support/effects.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { kindOfPoint } from './crash-points.ts';
import {
  type CrashRun,
  type CrashWorld,
  createCrashRun,
  createCrashWorld,
  createPatientSlack,
  expectNothingLeft,
  removeSandboxesOf,
  rowsOf,
} from './crash-run.ts';
import { type CrashingService, startCrashingService } from './crash-service.ts';

type Store = 'pglite' | 'postgres';
/** Threads, over which the points are dealt out. */
const THREADS = 3;

const PHASES = ['import', 'fix', 'undo'] as const;
/** Import, fix it, undo, undo confirm. */
const SAID = 4;
type Phase = (typeof PHASES)[number];

/** Points in the midst of what takes a while, by the beginning of the point before: container, clone, command, push. */
const AMID: Record<Phase, [start: string, ms: number][]> = {
  import: [['step 2 begun, phase "Cloning', 80]],
  fix: [
    ['step 2 begun, tool "Running', 300],
    ['step 9 begun, tool "Committing', 40],
    ['step 11 begun, tool "Publishing', 200],
  ],
  undo: [['step 2 begun, phase "Publishing', 100]],
};

/** Points that may not come in a process after the one that died before them. */
const BY_CHANCE = / \(\d+\)$| \+\d+ ms$/;

/** What would only be repeated: all phases begin and send alike, the second edits and runs twice, and keeps thinking. */
const COVERED: Record<Phase, RegExp> = {
  import: / \(\d+\)$|^(sent|sending): (?!final)/,
  fix: / \(\d+\)$|^(sending|sent)\b|^message|^turn|^step (3|5|6|7|8|10|12)\b|^step 4: |^step 1: /,
  undo: / \(\d+\)$|^(sending|sent)\b|^message|^turn|^pushed from/,
};

function choose(phase: Phase, passed: readonly string[]): string[] {
  const chosen = [...new Set(passed)].filter((point) => !COVERED[phase].test(point));
  const amid = AMID[phase].flatMap(([start, ms]) => {
    const point = passed.find((one) => one.startsWith(start));
    return point === undefined ? [] : [`${point} +${ms} ms`];
  });
  return [...chosen, ...amid];
}

interface Lane extends AsyncDisposable {
  slack: SlackPeer;
  service: CrashingService;
  /** Ends the service and reads what it left. */
  finish(): Promise<Awaited<ReturnType<typeof rowsOf>>>;
}

async function createLane(world: CrashWorld, name: string, store: Store = 'pglite'): Promise<Lane> {
  await using building = new AsyncDisposableStack();
  const url = store === 'postgres' ? building.use(await createTestDatabase()).url : undefined;
  const directory = join(world.directory, name);
  await mkdir(directory);
  const dataDir = join(directory, 'data');
  const slack = building.use(await createPatientSlack());
  const service = building.use(
    await startCrashingService({
      directory,
      env: { ...world.env(slack, dataDir), ...(url ? { DATABASE_URL: url } : {}) },
      onUp: (url) => slack.deliverTo(`${url}/slack/events`),
    }),
  );
  const held = building.move();
  const finish = async () => {
    await service.stop();
    return rowsOf({ dataDir, url });
  };
  return {
    slack,
    service,
    finish,
    async [Symbol.asyncDispose]() {
      await removeSandboxesOf((await finish()).runs);
      await held.disposeAsync();
    },
  };
}

/** Every third of the points: so that each thread is killed all along its way. */
const share = (points: Record<Phase, readonly string[]>, thread: number): Record<Phase, string[]> => {
  const every = (phase: Phase) => points[phase].filter((_, position) => position % THREADS === thread);
  return { import: every('import'), fix: every('fix'), undo: every('undo') };
};

describe('a service killed by SIGKILL', () => {
  let world: CrashWorld;
  let expected: Effects;
  const points: Record<Phase, string[]> = { import: [], fix: [], undo: [] };

  beforeAll(async () => {
    world = await createCrashWorld();
    await using lane = await createLane(world, 'reference');
    const run = await createCrashRun(world, lane.slack, 'reference');
    for (const phase of PHASES) {
      lane.service.mark();
      await run[phase]();
      await lane.service.idle();
      points[phase] = choose(phase, lane.service.passed());
    }
    expected = await run.effects();
    await expectNothingLeft(await lane.finish(), { runs: 1, messages: SAID });
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  it('what is looked for is there when it is not killed', () => {
    expect(expected).toMatchObject({
      reactions: [
        ['eyes', 'white_check_mark'],
        ['eyes', 'white_check_mark'],
        ['eyes', 'white_check_mark'],
        ['eyes', 'white_check_mark'],
      ],
      pullRequests: [{ title: 'Count 3600 seconds in an hour', state: 'open', files: [] }],
      branches: 2,
      pushes: 2,
      commits: [
        expect.stringMatching(/^Comio: Count 3600 seconds in an hour\n[\s\S]*\n\+looked\n\+seen\n\+tested\n/),
        expect.stringMatching(/^Comio: Undo "fix it"\n/),
      ],
    });
    // A live card and a final message each.
    expect(expected.messages).toHaveLength(2 * SAID);
  });

  it('leaves exactly one of every effect, wherever it is killed', { timeout: 1_200_000 }, async () => {
    const killed: string[] = [];
    const missed: string[] = [];

    async function killAt(service: CrashingService, phase: Phase, at: readonly string[], run: CrashRun) {
      const before = service.killedAt.length;
      service.arm(at);
      await run[phase]().catch((error: unknown) => {
        throw new Error(`${run.repository}, ${phase}: ${service.story()}`, { cause: error });
      });
      await service.idle();
      killed.push(...service.killedAt.slice(before).map((point) => `${phase}: ${point}`));
      missed.push(...service.armed().map((point) => `${phase}: ${point}`));
      service.arm([]);
    }

    /** A service with its own Slack and database, and a thread in it for each share of the points. */
    async function work(store: Store, name: string, shares: Record<Phase, string[]>[]): Promise<void> {
      await using lane = await createLane(world, name, store);
      const runs: CrashRun[] = [];
      for (const [index, points] of shares.entries()) {
        const run = await createCrashRun(world, lane.slack, `durations-${name}-${index}`);
        runs.push(run);
        for (const phase of PHASES) await killAt(lane.service, phase, points[phase], run);
      }
      const rows = await lane.finish();
      for (const run of runs) expect.soft(await run.effects(), run.repository).toEqual(expected);
      await expectNothingLeft(rows, { runs: shares.length, messages: SAID * shares.length });
    }

    // On PostgreSQL, which others may share, the work of a dead process is taken over only some seconds later.
    const lanes = await Promise.allSettled([
      work('pglite', 'pglite', [share(points, 0), share(points, 1)]),
      work('postgres', 'postgres', [share(points, 2)]),
    ]);
    for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason;
    const lacking = (phase: Phase) => {
      const had = new Set(killed.map(kindOfPoint));
      return points[phase].filter(
        (point) => !BY_CHANCE.test(point) && !had.has(kindOfPoint(`${phase}: ${point}`)),
      );
    };
    const again = { import: lacking('import'), fix: lacking('fix'), undo: lacking('undo') };
    if (PHASES.some((phase) => again[phase].length > 0)) await work('pglite', 'again', [again]);
    const all = new Set(killed);
    console.log(`killed at ${all.size} different points:\n  ${[...all].sort().join('\n  ')}`);
    console.log(`not reached again: ${missed.join(', ') || 'none'}`);
    expect(all.size).toBeGreaterThanOrEqual(30);
    for (const phase of PHASES) expect(lacking(phase), phase).toEqual([]);
  });

  it('leaves one of every effect when only the answers are lost', { timeout: 300_000 }, async () => {
    await using lane = await createLane(world, 'lost-answers');
    const { slack, service } = lane;
    const { github } = world;
    const run = await createCrashRun(world, slack, 'lost-answers');
    // Each of the run's messages is posted, and nobody hears of it.
    slack.fault({ method: 'chat.postMessage', times: 2 * SAID, status: 502, after: true });
    slack.fault({ method: 'reactions.add', times: SAID, status: 502, after: true });
    slack.fault({ method: 'chat.update', times: 2, status: 502, after: true });
    await run.import();
    await service.idle();
    github.failNext('POST /repos/:owner/:repo/pulls', { status: 502, when: 'after' });
    github.failNext('GET /repos/:owner/:repo/pulls', { status: 502, when: 'after' });
    await run.fix();
    await service.idle();
    await run.undo();
    await service.idle();
    await expectNothingLeft(await lane.finish(), { runs: 1, messages: SAID });
    expect(await run.effects()).toEqual(expected);
    expect(slack.calls.filter(({ outcome }) => outcome === '502')).toHaveLength(3 * SAID + 2);
    const made = github.calls.filter(
      ({ route, path }) => route === 'POST /repos/:owner/:repo/pulls' && path.includes('/lost-answers/'),
    );
    expect(made.map(({ status }) => status)).toEqual([502]);
  });
});
