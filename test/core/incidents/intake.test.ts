import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { topics } from '#core/events.ts';
import type { Database } from '#core/store/database.ts';
import { forEachStore, openTestDatabase } from '#test/support/database.ts';
import { deploy, finding, type IncidentsWorld, openIncidents, TOKEN, textOf } from './harness.ts';

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
  await using database = await openTestDatabase('pglite');
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
