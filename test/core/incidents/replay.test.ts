import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { createPrometheus } from '#adapters/queries/prometheus.ts';
import { createMemoryTarget } from '#adapters/targets/memory.ts';
import { createComio } from '#core/comio.ts';
import { loadConfig } from '#core/config.ts';
import { findingEvent } from '#core/events.ts';
import { SERIES } from '#core/incidents/series.ts';
import type { Database } from '#core/store/database.ts';
import { toJson } from '#core/store/storable.ts';
import type { Logger } from '#observability/log.ts';
import { createRedactor } from '#observability/redact.ts';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import { startBackfilledPrometheus } from '../../adapters/queries/backfilled-prometheus.ts';
import { openTestDatabase } from '../../support/database.ts';
import { createMemorySurface } from '../../support/memory-surface.ts';
import { silentLog } from '../../support/silent-log.ts';
import { createTempDir } from '../../support/temp-dir.ts';
import { deploy } from './harness.ts';
import { type Fault, openMetricsOf, type ShopRun } from './monitor-shop.ts';

/*
 * Hours of the shop in a real Prometheus, as if Comio had been away for them: it knows where it stood an hour ago and
 * catches up in one look. From there on everything is as in the service: findings, bus, incidents, diagnosis, cards.
 */

const STEP_MS = 15_000;
const MINUTE_MS = 60_000;
const FAULTS: Record<Fault, { within: number }> = {
  latency: { within: 10 },
  errors: { within: 10 },
  // 15 MiB a scrape, against half of what it had.
  leak: { within: 12 },
  cpu: { within: 10 },
};

function hours(now: number) {
  const start = Math.floor(now / STEP_MS) * STEP_MS - 58 * MINUTE_MS;
  const faultAt = start + 20 * MINUTE_MS;
  const run = (app: string, seed: number): ShopRun => ({
    app,
    seed,
    from: start - 30 * MINUTE_MS,
    // What comes while the test runs is looked at, too.
    to: now + 10 * MINUTE_MS,
    stepMs: STEP_MS,
    restartAt: start + 35 * MINUTE_MS,
    gap: { from: start + 10 * MINUTE_MS, to: start + 12 * MINUTE_MS },
  });
  const healthy = Array.from({ length: 8 }, (_, i) => run(`healthy-${i}`, 100 + i));
  const faulty = (Object.keys(FAULTS) as Fault[]).flatMap((kind) => [
    { ...run(`${kind}-over`, 1), fault: { kind, from: faultAt, to: faultAt + 8 * MINUTE_MS } },
    { ...run(`${kind}-going`, 2), fault: { kind, from: faultAt, to: now + 10 * MINUTE_MS } },
  ]);
  return { start, faultAt, healthy, faulty };
}

/** As it would have been left an hour ago. */
const knewUntil = (database: Database, environmentId: string, last: number) =>
  database.db
    .insertInto('series_state')
    .values(
      SERIES.map(({ name }) => ({
        environment_id: environmentId,
        series: name,
        state: toJson({ last, votes: [], open: null, back: null, excluded: [] }),
        pending: toJson([]),
      })),
    )
    .execute();

it('opens no incident in healthy hours, and exactly one for each fault', { timeout: 300_000 }, async () => {
  const { start, faultAt, healthy, faulty } = hours(Date.now());
  await using held = new AsyncDisposableStack();
  const { url } = held.use(await startBackfilledPrometheus(openMetricsOf([...healthy, ...faulty])));
  const database = held.use(await openTestDatabase('postgres'));
  const { db } = database;
  const environments = new Map<string, string>();
  for (const { app } of [...healthy, ...faulty]) {
    const sha = createHash('sha1').update(app).digest('hex');
    const liveAt = new Date(start - 3_600_000);
    const { environmentId } = await deploy(database, app, [{ sha, message: 'Shop', liveAt }]);
    await knewUntil(database, environmentId, start);
    environments.set(environmentId, app);
  }

  const told: unknown[] = [];
  const log: Logger = {
    ...silentLog,
    info: (...record: unknown[]) => {
      if (record.at(-1) === 'finding') told.push(record[0]);
    },
    child: () => log,
  };
  const { path } = held.use(await createTempDir());
  const config = loadConfig({}, { COMIO_DATA_DIR: path, LOG_LEVEL: 'warn' });
  const comio = held.use(
    await createComio({
      config,
      log,
      redact: createRedactor(config.secrets),
      database,
      driver: held.use(createMemoryDriver()),
      target: held.use(createMemoryTarget()),
      series: createPrometheus({ url }),
    }),
  );
  const { surface, connect } = createMemorySurface();
  connect(comio.receive);
  await comio.start([surface]);

  // Everything was looked at, told, taken in and diagnosed.
  const lookedAt = async () => {
    const rows = await db.selectFrom('series_state').select(['state', 'pending']).execute();
    return rows.filter(({ state, pending }) => (state.last ?? 0) > start + 50 * MINUTE_MS && !pending.length);
  };
  const signalsTaken = async () => {
    const text = await (await comio.app.request('/metrics')).text();
    const counts = [...text.matchAll(/^comio_signals_total\{.*\} (\d+)$/gm)].map(([, count]) =>
      Number(count),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  };
  const settled = { timeout: 240_000, interval: 500 };
  await expect.poll(async () => (await lookedAt()).length, settled).toBe(SERIES.length * environments.size);
  await expect.poll(async () => (await signalsTaken()) === told.length, settled).toBe(true);
  const working = () => db.selectFrom('incident').select('id').where('state', 'in', ['open', 'diagnosing']);
  await expect.poll(() => working().execute(), settled).toEqual([]);

  const incidents = await db.selectFrom('incident').selectAll().execute();
  const apps = incidents.map(({ environment_id }) => environments.get(environment_id ?? ''));
  expect(apps.toSorted()).toEqual(faulty.map(({ app }) => app).toSorted());
  console.log(`healthy: 0 incidents in ${healthy.length} hours, ${SERIES.length} series each`);

  for (const { id, environment_id, conversation_id } of incidents) {
    const app = environments.get(environment_id ?? '') ?? '';
    const signals = await db.selectFrom('signal').selectAll().where('incident_id', '=', id).execute();
    const findings = signals.map(({ payload }) => findingEvent.parse(payload));
    const scrapes = findings.map(
      (finding) => Math.round((Date.parse(finding.startsAt) - faultAt) / STEP_MS) + finding.scrapes,
    );
    const kinds = [...new Set(findings.map(({ labels }) => labels.series))];
    console.log(`${app}: 1 incident after ${Math.min(...scrapes)} scrapes (${kinds.join(', ')})`);
    expect(Math.min(...scrapes), app).toBeLessThanOrEqual(FAULTS[app.split('-')[0] as Fault].within);
    const cards = await surface.until((shown) => {
      const found = shown.filter(({ conversation }) => conversation === conversation_id);
      return found.some(({ card }) => card.blocks.some(({ type }) => type === 'image')) && found;
    });
    expect(cards, app).toHaveLength(1);
    // What is over is quiet; that it stays so is waited for.
    const prefix = app.endsWith('-over') ? /^Quiet: / : /^(?!Quiet|Resolved)/;
    await surface.until(() => prefix.test(cards[0]?.card.title ?? ''));
  }
});
