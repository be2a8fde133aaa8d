import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createTempDir } from '../support/temp-dir.ts';
import { createIncidentRun, type IncidentRun, STAGES, type Stage } from './crash-incident-run.ts';

/** Lives of the shop at the same time; the points are dealt out to them. */
const LANES = 2;

/** Where the service is killed: before and after each effect, and between an effect and the note of it. */
const POINTS: Readonly<Record<Stage, readonly string[]>> = {
  import: [],
  deploy: [
    'image built, not noted yet',
    'recorded on the forge, not noted yet',
    'instance started, not noted yet',
    'the forge was told, not noted yet: success',
  ],
  break: [
    'the forge was told, not noted yet: inactive',
    'a deployment is live',
    'instance stopped, not noted yet',
  ],
  diagnose: [
    'a signal was taken in: opened',
    'evidence stored',
    'the model answered, not noted yet',
    'an incident was diagnosed',
    'the fix waits for people',
    'sent, not noted yet: approval',
  ],
  approve: [
    'a question was closed',
    'pushed, not noted yet',
    'pull request open, not noted yet',
    'the fix is a pull request',
  ],
  recover: [
    'a signal was taken in: over',
    'the fix is live, and watched',
    'watch looked',
    'the watch is over',
  ],
  production: ['the deployment waits for people'],
};

/** The statuses the forge was told, in order. */
const told = (...states: string[]) => states.map((state) => expect.stringContaining(state));

/** Every second of a stage's points, so that both are killed all along the way. */
const share = (stage: Stage, lane: number): string[] =>
  POINTS[stage].filter((_, index) => index % LANES === lane);

async function live(run: IncidentRun, killAt: (stage: Stage) => readonly string[]): Promise<string[]> {
  const { service, stages } = run;
  const missed: string[] = [];
  for (const stage of STAGES) {
    service.arm(killAt(stage));
    try {
      await stages[stage]();
      await service.idle();
    } catch (error) {
      throw new Error(`${stage}: ${service.story()}`, { cause: error });
    }
    missed.push(...service.armed().map((point) => `${stage}: ${point}`));
  }
  return missed;
}

describe('a service killed by SIGKILL while it deploys and repairs', () => {
  it('leaves exactly one of every effect of a deployment, an approval and an incident', {
    timeout: 600_000,
  }, async () => {
    await using directory = await createTempDir();
    await using building = new AsyncDisposableStack();
    const create = async (name: string): Promise<IncidentRun> =>
      building.use(await createIncidentRun(join(directory.path, name)));
    const reference = await create('reference');
    const lanes = await Promise.all(Array.from({ length: LANES }, (_, lane) => create(`lane-${lane}`)));

    const lived = await Promise.allSettled([
      live(reference, () => []),
      ...lanes.map((run, lane) => live(run, (stage) => share(stage, lane))),
    ]);
    const killed = lanes.flatMap(({ service }) => service.killedAt);
    console.log(`killed ${killed.length} times, at ${new Set(killed).size} different points:`);
    for (const [lane, { service }] of lanes.entries())
      console.log(`lane ${lane}:\n  ${service.killedAt.join('\n  ')}`);
    for (const result of lived) if (result.status === 'rejected') throw result.reason;

    const expected = await reference.finish();
    // That what is compared is there at all.
    expect(expected).toMatchObject({
      effects: {
        pullRequests: [{ state: 'merged' }],
        // Good, bad, and the fix.
        pushes: 3,
        recorded: [
          { environment: 'staging', statuses: told('in_progress', 'success', 'inactive') },
          { environment: 'staging', statuses: told('in_progress', 'success', 'inactive') },
          { environment: 'staging', statuses: told('in_progress', 'success') },
          { environment: 'production', statuses: told('in_progress', 'success') },
        ],
        containers: ['app shop running', 'app shop-staging running', 'gate  running', 'gate  running'],
        networks: 1,
        images: 3,
      },
      rows: {
        incidents: [{ state: 'resolved', problem: null }],
        signals: [{ kind: 'alert' }],
        diagnoses: [{ root_cause: expect.stringContaining('prices.js') }],
        remediations: [{ state: 'deployed', error: null }],
        watches: [{ state: 'recovered' }],
        approvals: ['remediation approved ada', 'deployment approved bob'],
        deployments: [
          { name: 'staging', state: 'replaced', drain_until: null },
          { name: 'staging', state: 'replaced', drain_until: null },
          { name: 'staging', state: 'live' },
          { name: 'production', state: 'live' },
        ],
        releases: 3,
        undecided: [],
        unsent: [],
      },
    });
    for (const [lane, run] of lanes.entries())
      expect.soft(await run.finish(), `lane ${lane}`).toEqual(expected);
    const missed = lived.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
    expect(missed).toEqual([]);
    expect(new Set(killed).size).toBeGreaterThanOrEqual(20);
  });
});
