import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BusEvent } from '#adapters/events/bus.ts';
import { createMemoryMetrics } from '#adapters/queries/memory.ts';
import {
  MetricsError,
  type MetricsSource,
  type Point,
  type Series,
} from '#adapters/queries/metrics-source.ts';
import { createImages } from '#core/conversations/images.ts';
import { findingEvent } from '#core/events.ts';
import { createMonitor, type Monitor } from '#core/incidents/monitor.ts';
import { queryFor, SERIES, TRAFFIC } from '#core/incidents/series.ts';
import type { Database } from '#core/store/database.ts';
import { openJobs } from '#core/store/jobs.ts';
import { queues } from '#core/store/queues.ts';
import { toJson } from '#core/store/storable.ts';
import { createRandom } from '../../observability/detectors/random.ts';
import { forEachStore } from '../../support/database.ts';
import { silentLog } from '../../support/silent-log.ts';

const STEP_MS = 15_000;
const BEGIN = Math.floor(Date.UTC(2026, 9, 1, 9) / STEP_MS) * STEP_MS;
const ENVIRONMENT = 'env-1';
const never = new AbortController().signal;

const person = { id: 'slack:U1', name: 'Ada', surface: 'slack', handle: 'ada' };

/** An app called `shop` in production, and what was measured of it until now. */
async function world(database: Database) {
  const { db } = database;
  await db
    .insertInto('project')
    .values({ id: 'p', name: 'shop', description: '', origin: 'created', default_branch: 'main' })
    .execute();
  const address = { surface: 'slack', key: 'k', workspace: 'T', channel: 'C', at: {} };
  await db
    .insertInto('conversation')
    .values({ id: 'c', surface: 'slack', key: 'k', address: toJson(address) })
    .execute();
  await db
    .insertInto('environment')
    .values({ id: ENVIRONMENT, project_id: 'p', name: 'production', host: 'shop' })
    .execute();
  await db
    .insertInto('deployment')
    .values({
      id: 'd',
      environment_id: ENVIRONMENT,
      kind: 'deploy',
      state: 'live',
      conversation_id: 'c',
      message_id: 'm',
      requested_by: toJson(person),
      phases: toJson([]),
      live_at: new Date(BEGIN),
    })
    .execute();
  const goLive = (id: string | null) =>
    db.updateTable('environment').set({ live_deployment_id: id }).where('id', '=', ENVIRONMENT).execute();
  await goLive('d');

  const data = new Map<string, Series[]>();
  const time = { now: BEGIN };
  const events: BusEvent[] = [];
  const asked: { environmentId: string; afterMs: number }[] = [];
  const images = createImages(db, undefined);
  const monitor = (
    options: { source?: MetricsSource | undefined; publish?: (event: BusEvent) => Promise<void> } = {},
  ): Monitor =>
    createMonitor({
      db,
      jobs: {
        async send(_, payload, { afterMs = 0 } = {}) {
          if ('environmentId' in payload) asked.push({ environmentId: payload.environmentId, afterMs });
        },
      },
      source: createMemoryMetrics(data),
      publish: async (event) => {
        events.push(event);
      },
      images,
      settings: { stepMs: STEP_MS, now: () => time.now },
      log: silentLog,
      ...options,
    });

  const random = createRandom(7);
  const points = new Map<string, Point[]>();
  const measure = (query: string, v: number) => {
    const key = queryFor(query, 'shop', STEP_MS);
    const all = points.get(key) ?? [];
    points.set(key, all);
    data.set(key, [{ labels: {}, points: all }]);
    all.push({ t: time.now, v });
  };
  /** Time goes on by some scrapes; looked at after each. */
  async function pass(
    scrapes: number,
    {
      latency = 1,
      requests = 100,
      by = monitor(),
      looks = true,
    }: { latency?: number; requests?: number; by?: Monitor; looks?: boolean } = {},
  ): Promise<void> {
    for (let i = 0; i < scrapes; i += 1) {
      time.now += STEP_MS;
      measure(TRAFFIC, requests);
      for (const { name, query } of SERIES) {
        if (name === 'latency_p95') measure(query, latency * (0.05 + 0.004 * random.normal()));
        if (name === 'memory') measure(query, (80 + random.normal()) * 2 ** 20);
      }
      if (looks) await by.look(ENVIRONMENT, never);
    }
  }
  const findings = () => events.map(({ payload }) => findingEvent.parse(payload));
  return { db, database, data, time, events, asked, images, monitor, pass, findings, goLive };
}

forEachStore((_, open) => {
  describe('the monitor', () => {
    let held: AsyncDisposableStack;
    let shop: Awaited<ReturnType<typeof world>>;
    beforeEach(async () => {
      held = new AsyncDisposableStack();
      shop = await world(held.use(await open()));
    });
    afterEach(() => held.disposeAsync());

    it('tells of an anomaly once when it opens and once when it is over, with a picture of the first', async () => {
      await shop.pass(60);
      expect(shop.events).toEqual([]);
      await shop.pass(10, { latency: 3 });
      await shop.pass(20);
      const [opened, closed, ...more] = shop.findings();
      expect(more).toEqual([]);
      expect(opened).toMatchObject({
        status: 'firing',
        environmentId: ENVIRONMENT,
        title: 'shop: latency p95 is higher than usual',
        labels: { app: 'shop', series: 'latency_p95' },
        startsAt: new Date(BEGIN + 61 * STEP_MS).toISOString(),
        endsAt: null,
        low: null,
        scrapes: 6,
      });
      expect(opened?.query).toContain('app="shop"');
      expect(opened?.value).toBeGreaterThan(opened?.high ?? Number.POSITIVE_INFINITY);
      expect(closed).toMatchObject({
        fingerprint: opened?.fingerprint,
        status: 'resolved',
        startsAt: opened?.startsAt,
        endsAt: new Date(BEGIN + 71 * STEP_MS).toISOString(),
      });
      expect(new Set(shop.events.map(({ id }) => id)).size).toBe(2);
      expect(shop.events.map(({ topic, key }) => [topic, key])).toEqual([
        ['finding', ENVIRONMENT],
        ['finding', ENVIRONMENT],
      ]);
      const png = await shop.images.png(opened?.imageId ?? '');
      expect(Buffer.from(png ?? []).toString('latin1', 1, 4)).toBe('PNG');
      expect(closed?.imageId).toBeNull();
    });

    it('has one fingerprint for the same anomaly, and another id when it comes again', async () => {
      await shop.pass(60);
      await shop.pass(10, { latency: 3 });
      await shop.pass(20);
      await shop.pass(10, { latency: 3 });
      const firing = shop.findings().filter(({ status }) => status === 'firing');
      expect(firing.map(({ fingerprint }) => fingerprint)).toEqual([
        firing[0]?.fingerprint,
        firing[0]?.fingerprint,
      ]);
      expect(new Set(shop.events.map(({ id }) => id)).size).toBe(3);
    });

    it('publishes what was decided by a process that died before it could, under the same id, and then no more', async () => {
      await shop.pass(60);
      const tried: string[] = [];
      const dying = shop.monitor({
        publish: async ({ id }) => {
          tried.push(id);
          throw new Error('killed');
        },
      });
      await shop.pass(6, { latency: 3, by: dying }).catch(() => undefined);
      while (tried.length === 0) await shop.pass(1, { latency: 3, by: dying }).catch(() => undefined);
      await shop.monitor().look(ENVIRONMENT, never);
      expect(shop.events.map(({ id }) => id)).toEqual(tried);
      await shop.pass(5, { latency: 3 });
      expect(shop.events).toHaveLength(1);
      const rows = await shop.db.selectFrom('image').select('id').execute();
      expect(rows).toHaveLength(1);
    });

    it('decides once when two look at the same time', async () => {
      await shop.pass(60);
      await shop.pass(5, { latency: 3 });
      for (let i = 0; i < 3; i += 1) {
        await shop.pass(1, { latency: 3, looks: false });
        await Promise.all([shop.monitor().look(ENVIRONMENT, never), shop.monitor().look(ENVIRONMENT, never)]);
      }
      // Both may publish what one has written; it has one id.
      expect(new Set(shop.events.map(({ id }) => id)).size).toBe(1);
      expect(await shop.db.selectFrom('image').select('id').execute()).toHaveLength(1);
    });

    it('catches up after a pause', async () => {
      await shop.pass(60);
      await shop.pass(20, { latency: 3, looks: false });
      await shop.pass(20);
      expect(shop.findings().map(({ status, startsAt }) => [status, startsAt])).toEqual([
        ['firing', new Date(BEGIN + 61 * STEP_MS).toISOString()],
        ['resolved', new Date(BEGIN + 61 * STEP_MS).toISOString()],
      ]);
    });

    it('does not judge a quantile of a handful of requests', async () => {
      await shop.pass(60);
      await shop.pass(20, { latency: 5, requests: 3 });
      expect(shop.events).toEqual([]);
    });

    it('gives a release time to settle', async () => {
      await shop.pass(60);
      const again = { live_at: new Date(shop.time.now) };
      await shop.db.updateTable('deployment').set(again).execute();
      await shop.pass(7, { latency: 5 });
      await shop.pass(20);
      expect(shop.events).toEqual([]);
      await shop.pass(10, { latency: 5 });
      expect(shop.events).toHaveLength(1);
    });

    it('looks again a step later, whatever Prometheus says, and no more when nothing is live', async () => {
      const down: MetricsSource = {
        name: 'down',
        range: () => Promise.reject(new MetricsError('unavailable', 'Nobody is there.')),
        instant: () => Promise.reject(new MetricsError('unavailable', 'Nobody is there.')),
      };
      shop.time.now += 4000;
      await shop.monitor({ source: down }).look(ENVIRONMENT, never);
      expect(shop.asked).toEqual([{ environmentId: ENVIRONMENT, afterMs: STEP_MS - 4000 }]);
      await shop.monitor().giveUp(ENVIRONMENT, 'why');
      expect(shop.asked).toHaveLength(2);
      await shop.goLive(null);
      await shop.monitor().look(ENVIRONMENT, never);
      expect(shop.asked).toHaveLength(2);
    });

    it('starts with what is live, and follows what becomes live', async () => {
      await shop.monitor().start();
      expect(shop.asked).toEqual([{ environmentId: ENVIRONMENT, afterMs: 0 }]);
      await shop.goLive(null);
      await shop.monitor().start();
      expect(shop.asked).toHaveLength(1);
      await shop.db.transaction().execute((trx) => shop.monitor().follow(ENVIRONMENT, trx));
      expect(shop.asked).toHaveLength(2);
      const without = shop.monitor({ source: undefined });
      await without.start();
      await without.follow(ENVIRONMENT);
      expect(shop.asked).toHaveLength(2);
    });

    it('goes on by itself over the job engine', async () => {
      const jobs = held.use(await openJobs(shop.database, { log: silentLog, queues }));
      let reads = 0;
      const counting = createMemoryMetrics(shop.data);
      const monitor = createMonitor({
        db: shop.db,
        jobs,
        source: {
          ...counting,
          range(query, signal) {
            reads += 1;
            return counting.range(query, signal);
          },
        },
        publish: async () => undefined,
        images: shop.images,
        settings: { stepMs: 100, series: SERIES.slice(0, 1) },
        log: silentLog,
      });
      await jobs.work(
        'monitor',
        { concurrency: 1, onDead: ({ environmentId }, error) => monitor.giveUp(environmentId, error) },
        ({ environmentId }, signal) => monitor.look(environmentId, signal),
      );
      await monitor.start();
      await expect.poll(() => reads).toBeGreaterThan(3);
    });
  });
});
