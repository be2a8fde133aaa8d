import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { Handler, Scene } from '#core/conversations/handler.ts';
import { topics } from '#core/events.ts';
import type { Database } from '#core/store/database.ts';
import { toJson } from '#core/store/storable.ts';
import { openTestDatabase } from '#test/support/database.ts';
import { deploy, diagnosing, finding, openIncidents, textOf } from './harness.ts';

/** Has a person press or say something, as dispatch would. */
async function say(
  database: Database,
  conversationId: string,
  handler: Handler | undefined,
  name: string,
  args: string,
) {
  const id = randomUUID();
  const inbound = {
    id,
    conversation: { surface: 'slack' as const, key: conversationId, at: {} },
    author: { id: name, name, claims: [] },
    kind: 'message' as const,
    text: '',
    addressed: true,
    sentAt: new Date().toISOString(),
  };
  const { db } = database;
  await db
    .insertInto('message')
    .values({ id, conversation_id: conversationId, inbound: toJson(inbound), sent_at: new Date() })
    .execute();
  await db.transaction().execute(async (trx) => {
    const conversation = await trx
      .selectFrom('conversation')
      .selectAll()
      .where('id', '=', conversationId)
      .executeTakeFirstOrThrow();
    const message = await trx
      .selectFrom('message')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    const scene: Scene = {
      trx,
      conversation,
      message,
      inbound,
      role: 'viewer',
      roleReason: '',
      place: { runId: null, rest: '' },
      runId: null,
    };
    await handler?.handle(scene, { args, options: {} });
  });
  return id;
}

it('counts what people think of a diagnosis, once each, and lists the incidents', async () => {
  await using database = await openTestDatabase('postgres');
  const shop = await deploy(database, 'shop', [{ sha: 'a'.repeat(40), message: 'Shop', liveAt: new Date() }]);
  const nothing = { rootCause: null, category: 'unknown', confidence: 0, claims: [], nextActions: [] };
  await using world = await openIncidents(database, { model: diagnosing(nothing) });
  await world.start();
  await world.bus.publish({ id: '1', topic: topics.finding, key: 'k', payload: finding(shop.environmentId) });
  await world.taken.reaches(1);
  const { id } = await database.db.selectFrom('incident').select('id').executeTakeFirstOrThrow();
  const card = await world.shows(id, ({ actions }) => actions.length > 0);
  const { actions, verbs } = world.handlers;
  const [up] = card.actions;
  const press = (action: string, name: string) =>
    say(database, shop.conversationId, actions[action], name, up?.value ?? '');
  await press('feedback-up', 'ada');
  await press('feedback-up', 'grace');
  await press('feedback-down', 'ada');
  await press('feedback-down', 'ada');
  expect((await world.card(id)).actions.map(({ label }) => label)).toEqual(['👍 1', '👎 1']);
  const rows = await database.db
    .selectFrom('feedback')
    .select(['person_id', 'value'])
    .orderBy('person_id')
    .execute();
  expect(rows).toEqual([
    { person_id: 'slack:ada', value: -1 },
    { person_id: 'slack:grace', value: 1 },
  ]);
  const audited = await database.db.selectFrom('audit').select('action').execute();
  expect(audited.map(({ action }) => action)).toEqual(Array(4).fill('diagnosis.feedback'));

  const said = await say(database, shop.conversationId, verbs.incidents, 'ada', '');
  const { content } = await database.db
    .selectFrom('outbox')
    .select('content')
    .where('key', '=', `reply:${said}`)
    .executeTakeFirstOrThrow();
  expect(content.type === 'card' && content.card.title).toBe('1 open incident');
  expect(content.type === 'card' && textOf(content.card)).toContain('latency p95 of shop is above its band');
});
