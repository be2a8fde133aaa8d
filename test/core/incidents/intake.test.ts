import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { createOutbox } from '#core/conversations/outbox.ts';
import { topics } from '#core/events.ts';
import { createSettle } from '#core/incidents/settle.ts';
import type { Database } from '#core/store/database.ts';
import { forEachStore, openTestDatabase } from '#test/support/database.ts';
import { silentLog } from '#test/support/silent-log.ts';
import { deploy, diagnosing, finding, type IncidentsWorld, openIncidents, TOKEN, textOf } from './harness.ts';

const recorded = (name: string) =>
  readFile(new URL(`../../fixtures/replay/alertmanager/${name}.json`, import.meta.url), 'utf8');
const STARTED = new Date('2026-11-21T12:13:56Z');

const bring = (world: IncidentsWorld, body: string, token: string | null = TOKEN) =>
  world.app.request('/alerts/alertmanager', {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
  });

const incidents = ({ db }: Database) => db.selectFrom('incident').selectAll().orderBy('opened_at').execute();
const deployShop = (database: Database) =>
  deploy(database, 'shop', [
    { sha: 'a'.repeat(40), message: 'Shop', liveAt: new Date(STARTED.getTime() - 60_000) },
  ]);

const NOTHING_FOUND = { rootCause: null, category: 'unknown', confidence: 0, claims: [], nextActions: [] };
const NO_JOBS = { send: async () => undefined };

/** Of a process that finds everything quiet for long enough. */
const impatient = (db: Database['db']) => {
  const redact = (text: string) => text;
  const outbox = createOutbox({ db, jobs: NO_JOBS, surfaces: () => new Map(), redact, log: silentLog });
  return createSettle({ db, jobs: NO_JOBS, outbox, quietMs: 0 });
};

/** Tells of a finding that began some minutes after STARTED, and waits until it is taken in. */
const teller = (world: IncidentsWorld, environmentId: string) => {
  let told = 0;
  return async (status: 'firing' | 'resolved', minutes: number, fingerprint = 'latency') => {
    told += 1;
    const startsAt = new Date(STARTED.getTime() + minutes * 60_000).toISOString();
    const endsAt = status === 'resolved' ? new Date(Date.parse(startsAt) + 5000).toISOString() : null;
    const payload = finding(environmentId, { fingerprint, title: fingerprint, status, startsAt, endsAt });
    await world.bus.publish({ id: String(told), topic: topics.finding, key: fingerprint, payload });
    await world.taken.reaches(told);
  };
};

forEachStore((_kind, open) => {
  it('makes one incident and one card of what Alertmanager sends, delivered three times, out of order, at once', async () => {
    await using database = await open();
    const shop = await deployShop(database);
    await using world = await openIncidents(database);
    await world.start();
    const [firing, resolved] = [await recorded('firing'), await recorded('resolved')];
    const answers = await Promise.all([firing, firing, resolved, firing].map((body) => bring(world, body)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    await world.taken.reaches(8);
    const [incident, ...others] = await incidents(database);
    expect(others).toEqual([]);
    expect(incident).toMatchObject({
      severity: 'critical',
      conversation_id: shop.conversationId,
      began_at: STARTED,
    });
    const signals = await database.db.selectFrom('signal').selectAll().orderBy('id').execute();
    expect(signals.map(({ seen, ends_at }) => ({ seen, ends_at }))).toEqual([
      { seen: 4, ends_at: new Date('2026-11-21T12:13:59Z') },
      { seen: 4, ends_at: new Date('2026-11-21T12:13:59Z') },
    ]);
    expect(signals[0]?.query).toBe('rate(http_requests_total{status=~"5.."}[1m])');
    const cards = await database.db.selectFrom('outbox').select('key').execute();
    expect(cards.map(({ key }) => key)).toEqual([`incident:${incident?.id}`]);
    const card = await world.shows(incident?.id ?? '', ({ title }) => title.startsWith('Resolved'));
    expect(textOf(card)).toContain('12.5% of requests to shop fail');
    expect(textOf(card)).toContain('Taken as one incident: 2 signals in production');
  });

  it('joins what begins within ten minutes, or is of the same series; what is later is another incident', async () => {
    await using database = await open();
    const shop = await deployShop(database);
    await using world = await openIncidents(database);
    await world.start();
    const at = (minutes: number) => new Date(STARTED.getTime() + minutes * 60_000).toISOString();
    const tell = async (id: string, fingerprint: string, minutes: number) => {
      const payload = finding(shop.environmentId, { fingerprint, title: fingerprint, startsAt: at(minutes) });
      await world.bus.publish({ id, topic: topics.finding, key: fingerprint, payload });
      await world.taken.reaches(Number(id));
    };
    await tell('1', 'latency', 0);
    await tell('2', 'errors', 9);
    await tell('3', 'memory', -5);
    await tell('4', 'latency', 30);
    await tell('5', 'cpu', 30);
    expect(world.taken.entries).toEqual(['opened', 'joined', 'joined', 'joined', 'opened']);
    const [first] = await incidents(database);
    expect(first).toMatchObject({ title: 'latency', began_at: new Date(at(-5)) });
  });

  it('goes on with the same incident when what ended by itself comes again, and asks no model twice', async () => {
    await using database = await open();
    const shop = await deployShop(database);
    const answers = diagnosing(NOTHING_FOUND);
    await using world = await openIncidents(database, { model: answers, quietMs: 300 });
    await world.start();
    const tell = teller(world, shop.environmentId);
    await tell('firing', 0);
    const [incident] = await incidents(database);
    const id = incident?.id ?? '';
    await world.shows(id, ({ footer }) => footer?.startsWith('Diagnosed') ?? false);
    for (const minute of [1, 2]) {
      await tell('resolved', minute - 1);
      await world.shows(id, ({ title, tone }) => title.startsWith('Resolved: ') && tone === 'success');
      await tell('firing', minute);
      const card = await world.card(id);
      expect(card).toMatchObject({ title: expect.stringMatching(/^latency/), tone: 'warning' });
      expect(card.footer).toMatch(/^Diagnosed/);
      expect(textOf(card)).toContain(`flapping: ${minute + 1} times since 2026-11-21 12:13 UTC`);
    }
    expect(world.taken.entries).toEqual(['opened', 'over', 'reopened', 'over', 'reopened']);
    expect(await incidents(database)).toHaveLength(1);
    expect(await database.db.selectFrom('diagnosis').select('id').execute()).toHaveLength(1);

    // Long after it ended it is another one, and so is what a watch saw recover.
    await tell('resolved', 2);
    await world.shows(id, ({ title }) => title.startsWith('Resolved: '));
    const ended_at = new Date(Date.now() - 11 * 60_000);
    await database.db.updateTable('incident').set({ ended_at }).where('id', '=', id).execute();
    await tell('firing', 20);
    expect(world.taken.entries.at(-1)).toBe('opened');
    const recovered = { state: 'resolved', ended_at: new Date(), settled_from: null } as const;
    await database.db.updateTable('incident').set(recovered).where('ended_at', 'is', null).execute();
    await tell('firing', 21);
    expect(world.taken.entries.at(-1)).toBe('opened');
  });

  it('waits for quiet before an incident is over, and leaves what is worked on to those who do', async () => {
    await using database = await open();
    const { db } = database;
    const shop = await deployShop(database);
    await using world = await openIncidents(database, { quietMs: 3_600_000 });
    await world.start();
    const tell = teller(world, shop.environmentId);
    await tell('firing', 0);
    const [incident] = await incidents(database);
    const id = incident?.id ?? '';
    await world.shows(id, ({ footer }) => footer?.startsWith('Diagnosed') ?? false);
    await tell('resolved', 0);
    expect(await world.card(id)).toMatchObject({
      title: 'Quiet: latency',
      tone: 'neutral',
      footer: expect.stringContaining('over when it stays so'),
    });
    await tell('firing', 1);
    expect(await world.card(id)).toMatchObject({ title: 'latency', tone: 'warning' });
    await tell('resolved', 1);
    expect(world.taken.entries).toEqual(['opened', 'over', 'joined', 'over']);

    // Another process that waits less finds it long quiet, but a watch has it.
    await db.updateTable('incident').set({ state: 'watching' }).where('id', '=', id).execute();
    const settle = impatient(db);
    await settle(id);
    expect(await incidents(database)).toMatchObject([{ state: 'watching', ended_at: null }]);
    // What comes meanwhile, however late, and by a rule whose fingerprint the next deployment changed, is of it.
    await tell('firing', 90);
    expect(world.taken.entries.at(-1)).toBe('joined');
    await tell('resolved', 90);
    await db.updateTable('incident').set({ state: 'unresolved' }).where('id', '=', id).execute();
    await settle(id);
    expect(await incidents(database)).toMatchObject([{ state: 'resolved', settled_from: 'unresolved' }]);
  });

  it('says of a signal that came after the evidence was gathered that the diagnosis does not know it', async () => {
    await using database = await open();
    const shop = await deployShop(database);
    await using world = await openIncidents(database);
    await world.start();
    const tell = teller(world, shop.environmentId);
    await tell('firing', 0);
    const [incident] = await incidents(database);
    const id = incident?.id ?? '';
    const before = await world.shows(id, ({ footer }) => footer?.startsWith('Diagnosed') ?? false);
    expect(textOf(before)).not.toContain('does not consider it');
    await tell('firing', 2, 'errors');
    expect(textOf(await world.card(id))).toMatch(/errors.*does not consider it/);
  });

  it('knows a rule again whose fingerprint a deployment has changed', async () => {
    await using database = await open();
    const shop = await deployShop(database);
    await using world = await openIncidents(database);
    await world.start();
    const alert = (id: string, fingerprint: string, minutes: number) =>
      world.bus.publish({
        id,
        topic: topics.alert,
        key: fingerprint,
        payload: {
          fingerprint,
          status: 'firing',
          labels: { app: 'shop', alertname: 'HttpErrors', instance: fingerprint },
          annotations: {},
          startsAt: new Date(STARTED.getTime() + minutes * 60_000).toISOString(),
          endsAt: null,
          generatorUrl: null,
        },
      });
    await alert('1', '172.18.0.2', 0);
    await world.taken.reaches(1);
    const fixing = { state: 'waiting' } as const;
    await database.db.updateTable('incident').set(fixing).execute();
    await alert('2', '172.18.0.3', 45);
    await world.taken.reaches(2);
    expect(world.taken.entries).toEqual(['opened', 'joined']);
    expect((await incidents(database))[0]).toMatchObject({
      state: 'waiting',
      environment_id: shop.environmentId,
    });

    // Somebody rolled back and left the pull request alone: what comes much later is news.
    const longAgo = new Date(Date.now() - 11 * 60_000);
    await database.db.updateTable('incident').set({ quiet_since: longAgo }).execute();
    await alert('3', '172.18.0.4', 90);
    await world.taken.reaches(3);
    expect(world.taken.entries.at(-1)).toBe('opened');
    expect((await incidents(database)).map(({ state }) => state)).toContain('waiting');
  });

  it('neither opens an incident of what was over before it was heard of, nor of what is about nobody', async () => {
    await using database = await open();
    await using world = await openIncidents(database);
    await world.start();
    await bring(world, await recorded('firing'));
    await world.taken.reaches(2);
    await deployShop(database);
    await bring(world, await recorded('resolved'));
    await world.taken.reaches(4);
    await bring(world, await recorded('firing'));
    await world.taken.reaches(6);
    expect(world.taken.entries).toEqual(['unknown', 'unknown', 'late', 'late', 'known', 'known']);
    expect(await incidents(database)).toEqual([]);
  });
});

it('takes alerts only with the token, and says no to what is none', async () => {
  await using database = await openTestDatabase('postgres');
  await using world = await openIncidents(database);
  const firing = await recorded('firing');
  expect((await bring(world, firing, null)).status).toBe(401);
  expect((await bring(world, firing, `${TOKEN}x`)).status).toBe(401);
  expect((await bring(world, 'no JSON')).status).toBe(400);
  expect((await bring(world, firing.replace('"version": "4"', '"version": "3"'))).status).toBe(400);
  expect((await bring(world, ' '.repeat(5_000_000))).status).toBe(413);
  await using without = await openIncidents(database, { token: undefined });
  expect((await bring(without, firing)).status).toBe(404);
});
