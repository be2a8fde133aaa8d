import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SlackPeer } from '../peers/slack.ts';
import type { Effects } from '../support/effects.ts';
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

/** Services at work at the same time, each with its own data and Slack. */
const LANES = 2;
/** Threads in each; the points are dealt out to them. */
const RUNS = 3;

const PHASES = ['import', 'fix', 'undo'] as const;
/** Import, fix it, undo, undo confirm. */
const SAID = 4;
type Phase = (typeof PHASES)[number];

/** Points in the midst of what takes a while, by the beginning of the point before: container, clone, command, push. */
const AMID: Record<Phase, [start: string, ms: number][]> = {
  import: [
    ['step 1 begun, phase "Starting', 40],
    ['step 2 begun, phase "Cloning', 80],
  ],
  fix: [
    ['step 2 begun, tool "Running', 60],
    ['step 2 begun, tool "Running', 300],
    ['step 9 begun, tool "Committing', 40],
    ['step 11 begun, tool "Publishing', 60],
    ['step 11 begun, tool "Publishing', 200],
  ],
  undo: [['step 2 begun, phase "Publishing', 100]],
};

const COUNTED = / \(\d+\)$/;

/** What would only be repeated: all phases send alike, the second edits and runs a command twice, and keeps thinking. */
const COVERED: Record<Phase, RegExp> = {
  import: / \(\d+\)$|^sent: (?!final)/,
  fix: / \(\d+\)$|^(sending|sent)\b|^message|^step (3|5|6|7|8|10|12)\b/,
  undo: / \(\d+\)$|^(sending|sent)\b|^message/,
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

async function createLane(world: CrashWorld, name: string): Promise<Lane> {
  await using building = new AsyncDisposableStack();
  const directory = join(world.directory, name);
  await mkdir(directory);
  const dataDir = join(directory, 'data');
  const slack = building.use(await createPatientSlack());
  const service = building.use(
    await startCrashingService({
      directory,
      env: world.env(slack, dataDir),
      onUp: (url) => slack.deliverTo(`${url}/slack/events`),
    }),
  );
  const held = building.move();
  const finish = async () => {
    await service.stop();
    return rowsOf({ dataDir });
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

/** Every `of`-th of the points, beginning with the `index`-th: so that each run is killed all along its way. */
const share = <T>(points: readonly T[], index: number, of: number): T[] =>
  points.filter((_, position) => position % of === index);

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

    async function work(number: number): Promise<void> {
      await using lane = await createLane(world, `lane-${number}`);
      const runs: CrashRun[] = [];
      for (let index = 0; index < RUNS; index += 1) {
        const turn = number * RUNS + index;
        const run = await createCrashRun(world, lane.slack, `durations-${turn}`);
        runs.push(run);
        const from = killed.length;
        for (const phase of PHASES)
          await killAt(lane.service, phase, share(points[phase], turn, LANES * RUNS), run);
        console.log(`${run.repository} done, ${killed.length - from} kills in all lanes meanwhile`);
      }
      const rows = await lane.finish();
      for (const run of runs) expect.soft(await run.effects(), run.repository).toEqual(expected);
      await expectNothingLeft(rows, { runs: RUNS, messages: SAID * RUNS });
    }

    const lanes = await Promise.allSettled(Array.from({ length: LANES }, (_, number) => work(number)));
    const all = new Set(killed);
    console.log(`killed at ${all.size} different points:\n  ${[...all].sort().join('\n  ')}`);
    console.log(`not reached again: ${missed.join(', ') || 'none'}`);
    for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason;
    expect(all.size).toBeGreaterThanOrEqual(30);
    // Of the kinds of points none may be left out; what is counted may not come so often in a process that died before.
    const kinds = PHASES.flatMap((phase) =>
      points[phase].filter((point) => !COUNTED.test(point)).map((point) => kindOfPoint(`${phase}: ${point}`)),
    );
    expect([...new Set([...all].map(kindOfPoint))]).toEqual(expect.arrayContaining(kinds));
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
