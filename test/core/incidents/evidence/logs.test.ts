import { expect, it } from 'vitest';
import { bounded, MAX_LOG_LINES } from '#adapters/targets/log-lines.ts';
import { logsSource, type ReadLogs } from '#core/incidents/evidence/logs.ts';
import { deploymentOf, sceneOf, signalOf } from './scene.ts';

const ONSET = new Date('2026-01-01T12:00:00Z');
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const at = (ms: number): Date => new Date(ONSET.getTime() + ms);

interface Printed {
  t: number;
  line: string;
}
/** One line in this many milliseconds, from and to relative to the onset. */
function printing(from: number, to: number, everyMs: number, line: (index: number) => string): Printed[] {
  const count = Math.ceil((to - from) / everyMs);
  return Array.from({ length: count }, (_, index) => ({
    t: ONSET.getTime() + from + index * everyMs,
    line: line(index),
  }));
}
const ordered = (index: number) => JSON.stringify({ level: 'info', msg: 'order created', ms: index % 90 });

/** As targets do it: the newest of what is in time, and no more than they give. */
const logsOf =
  (instances: Record<string, Printed[]>): ReadLogs =>
  async (id, { lines, since, until }) =>
    bounded(
      (instances[id] ?? [])
        .filter(({ t }) => t >= since.getTime() && (until === undefined || t < until.getTime()))
        .slice(-Math.min(lines, MAX_LOG_LINES))
        .map(({ line }) => line),
    );

async function gather(instances: Record<string, Printed[]>, options: { alert?: true; liveAt?: Date } = {}) {
  const live = deploymentOf('live', options.liveAt ?? at(-60 * MINUTE));
  const scene = sceneOf({
    onset: ONSET,
    live,
    previous: deploymentOf('previous', at(-600 * MINUTE)),
    signals: [signalOf(options.alert ? 'alert' : 'finding', 'AppErrors', null, ONSET)],
  });
  return logsSource({ logs: logsOf(instances) }).gather(scene, AbortSignal.timeout(10_000));
}

it.each([10, 40])('finds nothing new where nothing is, at %i lines a second', async (perSecond) => {
  const live = printing(-30 * MINUTE, MINUTE, SECOND / perSecond, ordered);
  const pieces = await gather({ live });
  expect(pieces.map(({ title }) => title)).toEqual([expect.stringMatching(/^log lines before and after/)]);
  expect(pieces[0]?.text).toContain('in the last 2000 lines before');
});

it('says of what it counted where there is more than is given', async () => {
  const live = [
    ...printing(-30 * MINUTE, 0, 25, ordered),
    ...printing(0, 10 * SECOND, SECOND, () => 'no space left on device'),
  ];
  const [fresh] = await gather({ live });
  expect(fresh?.title).toBe('log line, 10 times: no space left on device');
  expect(fresh?.text).toContain('not among the last 2000 before the incident began');
  expect(fresh?.text).toContain('0 times in the last 2000 lines before, 10 times after');
});

it('knows of long lines too that there were more', async () => {
  const live = [
    ...printing(-30 * MINUTE, 0, SECOND, () => `order ${'x'.repeat(1000)}`),
    ...printing(0, 10 * SECOND, SECOND, () => 'no space left on device'),
  ];
  expect((await gather({ live }))[0]?.title).toMatch(/^log line, 10 times/);
});

it('calls a line new that an app which prints little did not print before', async () => {
  const fault = printing(0, 3 * SECOND, SECOND, () => 'no space left on device');
  expect((await gather({ live: fault }))[0]?.text).toContain('was not printed before the incident began');
});

const failed = () => JSON.stringify({ level: 'error', msg: 'Cannot destructure property percent' });

it('parts the lines of an alert, which comes late, where the release went live shortly before it', async () => {
  const live = [...printing(-80 * SECOND, 30 * SECOND, 200, (n) => (n % 7 === 0 ? failed() : ordered(n)))];
  const previous = printing(-20 * MINUTE, -80 * SECOND, 1000, ordered);
  const liveAt = at(-80 * SECOND);
  const [fresh] = await gather({ live, previous }, { alert: true, liveAt });
  expect(fresh?.title).toMatch(/^new log line, 79 times: error Cannot destructure/);
  expect(fresh?.text).toContain('was not printed before commit live000 went live');
  // Without it the alert's beginning would have had the fault before itself.
  const [late] = await gather({ live, previous }, { liveAt });
  expect(late?.title).not.toMatch(/^new log line/);
});

it('does not call new what nothing is left to compare with', async () => {
  const live = printing(-80 * SECOND, 30 * SECOND, 200, (n) => (n % 7 === 0 ? failed() : ordered(n)));
  const pieces = await gather({ live }, { alert: true, liveAt: at(-80 * SECOND) });
  expect(pieces).toHaveLength(2);
  for (const { title, text } of pieces) {
    expect(title).toMatch(/^log line, /);
    expect(text).toContain('is not known');
    expect(text).not.toContain('0 times before');
  }
});
