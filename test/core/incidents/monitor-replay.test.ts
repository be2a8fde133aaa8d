import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MetricsSource } from '#adapters/queries/metrics-source.ts';
import { createPrometheus } from '#adapters/queries/prometheus.ts';
import { ensembleFor } from '#core/incidents/monitor-look.ts';
import { queryFor, SERIES, type SeriesSpec, TRAFFIC } from '#core/incidents/series.ts';
import type { Change } from '#observability/detectors/ensemble.ts';
import { startBackfilledPrometheus } from '../../adapters/queries/backfilled-prometheus.ts';
import { type Fault, openMetricsOf, type ShopRun } from './monitor-shop.ts';

const STEP_MS = 15_000;
const MINUTE_MS = 60_000;
/** Half an hour to learn, an hour to be judged. */
const from = Date.UTC(2026, 9, 1, 9);
const start = from + 30 * MINUTE_MS;
const end = start + 60 * MINUTE_MS;
const faultAt = start + 20 * MINUTE_MS;
const faultEnd = faultAt + 8 * MINUTE_MS;
const restartAt = start + 35 * MINUTE_MS;

const run = (app: string, seed: number): ShopRun => ({
  app,
  seed,
  from,
  to: end,
  stepMs: STEP_MS,
  restartAt,
  gap: { from: start + 10 * MINUTE_MS, to: start + 12 * MINUTE_MS },
});
const healthy = Array.from({ length: 10 }, (_, i) => run(`healthy-${i}`, 100 + i));
/** What must be found, by when, and where else it may show. Scrapes from the fault to the decision. */
const faults: Record<Fault, { series: string; within: number; also: string[] }> = {
  latency: { series: 'latency_p95', within: 10, also: ['latency_p50'] },
  errors: { series: 'error_ratio', within: 10, also: [] },
  // 15 MiB a scrape, against half of what it had.
  leak: { series: 'memory', within: 12, also: [] },
  cpu: { series: 'cpu', within: 10, also: ['latency_p50', 'latency_p95', 'event_loop_lag'] },
};
const faulty = Object.entries(faults).flatMap(([kind, expected]) =>
  [1, 2, 3].map((seed) => ({
    ...run(`${kind}-${seed}`, seed),
    fault: { kind: kind as Fault, from: faultAt, to: faultEnd },
    expected,
  })),
);

describe('a replayed hour of the shop, in a real Prometheus', () => {
  const held = new AsyncDisposableStack();
  let source: MetricsSource;
  beforeAll(async () => {
    source = createPrometheus(
      held.use(await startBackfilledPrometheus(openMetricsOf([...healthy, ...faulty]))),
    );
  });
  afterAll(() => held.disposeAsync());

  const read = async (query: string, app: string) => {
    const range = {
      query: queryFor(query, app, STEP_MS),
      from: new Date(from),
      to: new Date(end),
      stepMs: STEP_MS,
    };
    return (await source.range(range))[0]?.points ?? [];
  };

  /** What a series raises; a release is given no time to settle. */
  async function changesOf(app: string, spec: SeriesSpec): Promise<{ judged: number; changes: Change[] }> {
    const all = await read(spec.query, app);
    const requests = new Map((await read(TRAFFIC, app)).map(({ t, v }) => [t, v]));
    const points = all.filter(({ t }) => (requests.get(t) ?? 0) >= spec.minRequests);
    const { judged, changes } = ensembleFor(spec, STEP_MS).advance(
      undefined,
      points.filter(({ t }) => t < start),
      points.filter(({ t }) => t >= start),
    );
    return { judged: judged.length, changes };
  }

  it('raises nothing while all is well, over a deployment and a gap', async () => {
    let judged = 0;
    for (const { app } of healthy)
      for (const spec of SERIES) {
        const seen = await changesOf(app, spec);
        expect(seen.changes, `${app} ${spec.name}`).toEqual([]);
        // But for the gap, all of it was looked at.
        expect(seen.judged, `${app} ${spec.name}`).toBeGreaterThan(220);
        judged += seen.judged;
      }
    console.log(
      `healthy: 0 findings in ${judged} judged points of ${healthy.length} hours, ${SERIES.length} series each`,
    );
  });

  it.each(faulty)('finds $app and sees it end', async ({ app, fault, expected }) => {
    const told: string[] = [];
    for (const spec of SERIES) {
      const { changes } = await changesOf(app, spec);
      if (spec.name !== expected.series && !expected.also.includes(spec.name)) {
        expect(changes, spec.name).toEqual([]);
        continue;
      }
      const [opened, closed, ...more] = changes;
      expect(more, spec.name).toEqual([]);
      if (opened?.kind !== 'opened' || closed?.kind !== 'closed') {
        expect(spec.name, 'opened and closed').not.toBe(expected.series);
        expect(changes, spec.name).toEqual([]);
        continue;
      }
      const scrapes = Math.round((opened.opened.at - fault.from) / STEP_MS) + 1;
      told.push(`${spec.name} after ${scrapes}`);
      expect(opened.opened.since, spec.name).toBeGreaterThanOrEqual(fault.from);
      if (spec.name === expected.series) expect(scrapes).toBeLessThanOrEqual(expected.within);
      // What has leaked is gone with the process; that one is counted for five more minutes, because what is written
      // into the store afterwards has no marks of where a series ends.
      const over = fault.kind === 'leak' ? restartAt : fault.to;
      expect(closed.endedAt, spec.name).toBeGreaterThanOrEqual(over);
      expect(closed.endedAt, spec.name).toBeLessThanOrEqual(
        over + (fault.kind === 'leak' ? 24 : 6) * STEP_MS,
      );
    }
    console.log(`${app}: ${told.join(', ')} scrapes`);
  });
});
