import type { Selectable } from 'kysely';
import { expect, it } from 'vitest';
import { createMemoryMetrics } from '#adapters/queries/memory.ts';
import type { Series } from '#adapters/queries/metrics-source.ts';
import type { SignalTable } from '#core/incidents/tables.ts';
import { lookAtSeries, seriesOfApp, watchedSeries } from '#core/incidents/watch-series.ts';

const STEP_MS = 15_000;
const FROM = Date.parse('2026-01-01T00:00:00Z');
const TIMES = Array.from({ length: 8 }, (_, index) => FROM + index * STEP_MS);
const QUERY = 'sum by (app, instance) (rate(errors[1m])) > 1';

const alertOf = (labels: Record<string, string>): Selectable<SignalTable> => ({
  id: 'alert:errors',
  incident_id: 'incident',
  kind: 'alert',
  fingerprint: 'errors',
  title: 'AppErrors',
  query: QUERY,
  labels,
  payload: {},
  starts_at: new Date(FROM),
  ends_at: null,
  seen: 1,
  taken_at: new Date(FROM),
});
const ALERT = alertOf({ alertname: 'AppErrors', app: 'shop', instance: '172.20.0.2:3000' });
const constant = (labels: Record<string, string>, v: number): Series => ({
  labels,
  points: TIMES.map((t) => ({ t, v })),
});

async function insideOf(data: [string, Series[]][]) {
  const [watched] = watchedSeries([ALERT], true);
  if (!watched?.query) throw new Error('the alert has no query to be watched');
  const source = createMemoryMetrics(new Map(data));
  const { query } = watched;
  const looks = await lookAtSeries(
    source,
    { ...watched, query },
    TIMES,
    STEP_MS,
    AbortSignal.timeout(10_000),
  );
  return [...new Set(looks.map(({ inside }) => inside))];
}

const MEASURED: [string, Series[]] = [seriesOfApp('shop'), [constant({}, 120)]];

it('an alert whose expression is empty does not hold, where its app is measured', async () => {
  expect(await insideOf([MEASURED])).toEqual([true]);
});

it('an alert whose expression is empty as nothing of its app is measured says nothing', async () => {
  expect(await insideOf([])).toEqual([null]);
  expect(await insideOf([[seriesOfApp('another'), [constant({}, 120)]]])).toEqual([null]);
});

it('an alert that fires for the instance of the new deployment still fires', async () => {
  const firing = (labels: Record<string, string>): [string, Series[]] => [QUERY, [constant(labels, 7)]];
  expect(await insideOf([MEASURED, firing({ app: 'shop', instance: '172.20.0.9:3000' })])).toEqual([false]);
  expect(await insideOf([MEASURED, firing({ app: 'blog', instance: '172.20.0.2:3000' })])).toEqual([true]);
});

it('an alert that does not name its app is over when its sender says so', () => {
  expect(watchedSeries([alertOf({ alertname: 'AppErrors' })], true)).toMatchObject([{ kind: 'signal' }]);
});
