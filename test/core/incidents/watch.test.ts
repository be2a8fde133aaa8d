import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createMemoryMetrics } from '#adapters/queries/memory.ts';
import type { Series } from '#adapters/queries/metrics-source.ts';
import type { Card } from '#core/conversations/card.ts';
import { createWatch } from '#core/incidents/watch.ts';
import { seriesOfApp } from '#core/incidents/watch-series.ts';
import { createRun } from '#core/runs/turns.ts';
import type { Database } from '#core/store/database.ts';
import { toJson } from '#core/store/storable.ts';
import { openTestDatabase } from '#test/support/database.ts';
import { silentLog } from '#test/support/silent-log.ts';
import { deploy, REQUESTER, textOf } from './harness.ts';

const STEP_MS = 15_000;
const WINDOW_MS = 6 * STEP_MS;
const HOUR_MS = 3_600_000;
const UNKNOWN = 'Not known whether it recovered';
const QUERY = 'rate(errors[1m]) > 1';

let database: Database;
beforeAll(async () => {
  database = await openTestDatabase('pglite');
});
afterAll(() => database?.[Symbol.asyncDispose]());

/** A watch of a fix for one alert, at a time of the test's choice; its jobs are noted and not worked on. */
async function watching(options: { measured: boolean; fires?: boolean }) {
  const { db } = database;
  const app = `shop-${randomUUID()}`;
  const place = await deploy(database, app, [{ sha: 'a'.repeat(40), message: 'Fix', liveAt: new Date() }]);
  const id = randomUUID();
  const began = new Date(Date.now() - HOUR_MS);
  await db
    .insertInto('incident')
    .values({
      id,
      project_id: place.projectId,
      environment_id: place.environmentId,
      fingerprint: id,
      title: 'Requests fail',
      severity: 'critical',
      state: 'watching',
      conversation_id: place.conversationId,
      began_at: began,
    })
    .execute();
  await db
    .insertInto('signal')
    .values({
      id: `alert:${id}`,
      incident_id: id,
      kind: 'alert',
      fingerprint: id,
      title: 'AppErrors',
      query: QUERY,
      labels: toJson({ alertname: 'AppErrors', app, instance: '172.20.0.2:3000' }),
      payload: '{}',
      starts_at: began,
    })
    .execute();
  const points = Array.from({ length: 400 }, (_, index) => ({ t: began.getTime() + index * STEP_MS, v: 9 }));
  const series: Series[] = options.measured ? [{ labels: {}, points }] : [];
  // As of the instance that the deployment began.
  const firing: Series[] = options.fires ? [{ labels: { app, instance: '172.20.0.9:3000' }, points }] : [];
  const cards: Card[] = [];
  const asked: string[] = [];
  const watch = createWatch({
    db,
    jobs: { send: async (queue) => void asked.push(queue) },
    outbox: {
      answer: async (_trx, _conversation, _key, card) => void cards.push(card),
      live: async () => undefined,
      react: async () => undefined,
      deliver: async () => undefined,
    },
    metrics: createMemoryMetrics(
      new Map([
        [seriesOfApp(app), series],
        [QUERY, firing],
      ]),
    ),
    stepMs: STEP_MS,
    windowMs: WINDOW_MS,
    log: silentLog,
  });
  const watchId = await db.transaction().execute(async (trx) => {
    const run = await createRun(trx, { projectId: place.projectId, title: 'Fix', branch: `fix-${id}` });
    const remediationId = randomUUID();
    await trx
      .insertInto('remediation')
      .values({
        id: remediationId,
        incident_id: id,
        run_id: run.id,
        base_sha: 'a'.repeat(40),
        state: 'deployed',
        requested_by: toJson(REQUESTER),
      })
      .execute();
    const deploymentId = place.deploymentIds[0] ?? '';
    await watch.begin(trx, { incidentId: id, deploymentId, remediationId });
    return trx.selectFrom('watch').select('id').where('incident_id', '=', id).executeTakeFirstOrThrow();
  });
  return {
    place,
    watch,
    watchId: watchId.id,
    cards,
    jobsAsked: () => asked.length,
    advance: () => watch.advance(watchId.id, AbortSignal.timeout(10_000)),
    /** The window ended this long ago. */
    ended: (ms: number) =>
      db
        .updateTable('watch')
        .set({
          created_at: new Date(Date.now() - ms - WINDOW_MS),
          until: new Date(Date.now() - ms),
        })
        .where('id', '=', watchId.id)
        .execute(),
    alertIsOver: () =>
      db.updateTable('signal').set({ ends_at: new Date() }).where('incident_id', '=', id).execute(),
    incident: () =>
      db.selectFrom('incident').select(['state', 'ended_at']).where('id', '=', id).executeTakeFirstOrThrow(),
    row: () => db.selectFrom('watch').selectAll().where('id', '=', watchId.id).executeTakeFirstOrThrow(),
  };
}

it('waits, when the series are inside, until the sender says that its alert is over', async () => {
  const one = await watching({ measured: true });
  await one.ended(1000);
  await one.advance();
  const asked = one.jobsAsked();
  expect(one.cards).toEqual([]);
  expect((await one.row()).state).toBe('watching');
  await one.advance();
  expect(one.jobsAsked()).toBe(asked + 1);
  await one.alertIsOver();
  await one.advance();
  expect(one.cards).toMatchObject([{ title: expect.stringMatching(/^Recovered after/), tone: 'success' }]);
  expect((await one.incident()).state).toBe('resolved');
});

it('has no recovery of an alert that its sender never ends', async () => {
  const one = await watching({ measured: true });
  await one.ended(HOUR_MS / 6);
  await one.advance();
  expect(one.cards.map(({ title }) => title)).toEqual([UNKNOWN]);
  expect(one.cards.map(textOf).join()).toContain('nobody has said that this is over: AppErrors');
  expect(await one.incident()).toMatchObject({ state: 'unresolved', ended_at: null });
});

/** What it looks like that nobody knows: no alarm, and no advice to go back. */
function expectUnknown(cards: readonly Card[], why: string): void {
  expect(cards).toMatchObject([{ title: UNKNOWN, tone: 'neutral' }]);
  expect(cards.map(textOf).join()).toContain(why);
  expect(cards.map(textOf).join()).toContain('incident stays open');
  expect(cards.map(textOf).join()).not.toContain('`rollback');
}

it('does not know of a recovery where nothing is measured', async () => {
  const one = await watching({ measured: false });
  await one.alertIsOver();
  await one.ended(1000);
  await one.advance();
  expectUnknown(one.cards, 'found data for every series');
  expect(await one.incident()).toMatchObject({ state: 'unresolved', ended_at: null });
});

it('does not know of a recovery when another deployment takes the place of the fix', async () => {
  const one = await watching({ measured: true });
  const { db } = database;
  const { environmentId } = one.place;
  await db
    .updateTable('environment')
    .set({ live_deployment_id: null })
    .where('id', '=', environmentId)
    .execute();
  await one.advance();
  expectUnknown(one.cards, 'Another deployment took its place');
  expect(await one.incident()).toMatchObject({ state: 'waiting', ended_at: null });
});

it('does not know of a recovery when something breaks inside', async () => {
  const one = await watching({ measured: true });
  await one.watch.giveUp(one.watchId, 'the database was away');
  expectUnknown(one.cards, 'Something broke inside Comio');
  expect(await one.incident()).toMatchObject({ state: 'unresolved', ended_at: null });
});

it('says of an alert that still fires that it is not back, and how to go back', async () => {
  const one = await watching({ measured: true, fires: true });
  await one.ended(1000);
  await one.advance();
  expect(one.cards).toMatchObject([{ title: 'Not recovered', tone: 'danger' }]);
  expect(one.cards.map(textOf).join()).toContain('`rollback production`');
});
