import type { Selectable } from 'kysely';
import { expect, it } from 'vitest';
import { createMemoryMetrics } from '#adapters/queries/memory.ts';
import type { Series } from '#adapters/queries/metrics-source.ts';
import { createPrometheus } from '#adapters/queries/prometheus.ts';
import type { SignalTable } from '#core/incidents/tables.ts';
import { lookAtSeries, seriesOfApp, watchedSeries } from '#core/incidents/watch-series.ts';
import { startBackfilledPrometheus } from '../../adapters/queries/backfilled-prometheus.ts';

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

it('Prometheus counts the series of an app while it answers, and not those of scraping it', async () => {
  const start = Math.floor(Date.now() / 1000) - 3600;
  const line = (name: string, minute: number) => `${name}{app="shop"} 1 ${start + minute * 60}`;
  const minutes = Array.from({ length: 30 }, (_, minute) => minute);
  await using server = await startBackfilledPrometheus(
    [
      '# TYPE scrape_duration_seconds gauge',
      ...minutes.map((minute) => line('scrape_duration_seconds', minute)),
      '# TYPE shop_orders gauge',
      ...minutes.slice(0, 5).map((minute) => line('shop_orders', minute)),
      '# TYPE up gauge',
      ...minutes.map((minute) => line('up', minute)),
      '# EOF\n',
    ].join('\n'),
  );
  const [found] = await createPrometheus({ url: server.url }).range({
    query: seriesOfApp('shop'),
    from: new Date(start * 1000),
    to: new Date((start + 29 * 60) * 1000),
    stepMs: 60_000,
  });
  // The app's last value is of minute 4 and counts for five minutes; after them only what the scrapes made is there.
  const measured = found?.points.map(({ t, v }) => [(t / 1000 - start) / 60, v]) ?? [];
  expect(measured.slice(0, 9)).toEqual(minutes.slice(0, 9).map((minute) => [minute, 1]));
  expect(measured.filter(([minute = 0]) => minute > 9)).toEqual([]);
}, 60_000);
