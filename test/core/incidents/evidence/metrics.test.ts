import { expect, it } from 'vitest';
import { createMemoryMetrics } from '#adapters/queries/memory.ts';
import type { Series } from '#adapters/queries/metrics-source.ts';
import { metricsSource } from '#core/incidents/evidence/metrics.ts';
import { robustScore } from '#core/incidents/evidence/robust-score.ts';
import { queryFor, SERIES } from '#core/incidents/series.ts';
import { sceneOf, signalOf } from './scene.ts';

const STEP_MS = 15_000;
const ONSET = new Date('2026-01-01T12:00:00Z');
const MINUTE = 60_000;
const ALERT = 'process_resident_memory_bytes{app="shop"} > 9e8';

const named = (name: string): string =>
  queryFor(SERIES.find((one) => one.name === name)?.query ?? '', 'shop', STEP_MS);
/** A value before (undefined: none) and one after the onset. */
function series(before: number | undefined, after: number, labels: Record<string, string> = {}): Series {
  const points = Array.from({ length: 140 }, (_, index) => ONSET.getTime() + (index - 120) * STEP_MS).flatMap(
    (t) => {
      const v = t < ONSET.getTime() ? before : after;
      return v === undefined ? [] : [{ t, v }];
    },
  );
  return { labels, points };
}
async function titles(data: [string, Series[]][], alert?: string) {
  const source = metricsSource({ metrics: createMemoryMetrics(new Map(data)), stepMs: STEP_MS });
  const signals = alert === undefined ? [] : [signalOf('alert', 'MemoryHigh', alert)];
  const scene = sceneOf({ onset: ONSET, to: new Date(ONSET.getTime() + 5 * MINUTE), signals });
  const pieces = await source.gather(scene, AbortSignal.timeout(10_000));
  return pieces.map(({ title, text }) => ({ title, text }));
}

it('does not say that what was not measured was nothing, and ranks it behind a change that was seen', async () => {
  const found = await titles(
    [
      [ALERT, [series(undefined, 9.1e8)]],
      [named('error_ratio'), [series(0.002, 0.4)]],
    ],
    ALERT,
  );
  expect(found.map(({ title }) => title)).toEqual([
    'error ratio: 0.2 % before, 40 % after',
    'MemoryHigh: not measured before, 910000000 after',
  ]);
  expect(found[1]?.text).not.toContain('interquartile');
});

it('takes requests of which there was no series for none, where the app was measured', async () => {
  const failed = `sum by (route, status) (rate(http_requests_total{app="shop",route!~"/metrics|/health",status=~"5.."}[60000ms]))`;
  const failing: [string, Series[]] = [failed, [series(undefined, 8, { route: '/orders', status: '500' })]];
  expect(await titles([failing, [named('request_rate'), [series(20, 20)]]])).toMatchObject([
    { title: 'failed requests by route (route=/orders, status=500): 0 req/s before, 8 req/s after' },
  ]);
  expect(await titles([failing])).toMatchObject([
    { title: expect.stringContaining('not measured before, 8 req/s after') },
  ]);
});

it('leaves most of the room to changes that were seen', async () => {
  const begun = ['memory', 'cpu', 'latency_p50', 'latency_p95', 'event_loop_lag'];
  const found = await titles([
    ...begun.map((name): [string, Series[]] => [named(name), [series(undefined, 5)]]),
    [named('error_ratio'), [series(0, 0.5)]],
  ]);
  expect(found).toHaveLength(4);
  expect(found[0]?.title).toContain('error ratio');
});

it('scores what rose from nothing but zeros alike in every unit', () => {
  const zeros = [0, 0, 0, 0, 0];
  expect(robustScore(zeros, [9.1e8], 0)?.score).toBeCloseTo(20);
  expect(robustScore(zeros, [0.91], 0)?.score).toBeCloseTo(20);
  expect(robustScore(zeros, [0], 0)?.score).toBe(0);
});
