import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf, isApproved } from '#core/approvals/approvals.ts';
import type { Database } from '#core/store/database.ts';
import { testComio } from '#test/support/comio.ts';
import { forEachStore, openTestDatabase } from '#test/support/database.ts';
import { createMemorySurface } from '#test/support/memory-surface.ts';
import { type ApprovalWorld, openApprovals, ROLES } from './harness.ts';

const HOUR_MS = 3_600_000;
const began = (database: Database, subject: string) =>
  database.db
    .selectFrom('audit')
    .selectAll()
    .where('action', '=', 'began')
    .where('subject', '=', subject)
    .execute();
const decided = (card: { actions: unknown[] }) => card.actions.length === 0;

describe('a question to people', { timeout: 120_000 }, () => {
  let database: Database;
  let world: ApprovalWorld;
  let threads = 0;
  const newThread = () => {
    threads += 1;
    return `thread-${threads}`;
  };
  beforeAll(async () => {
    database = await openTestDatabase('postgres');
    world = await openApprovals(database);
  });
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
    await database?.[Symbol.asyncDispose]();
  });

  it('is a card that tells what happens, who may decide, until when, and by which digest', async () => {
    const thread = newThread();
    const asked = await world.ask({ thread, fourEyes: true });
    const card = await world.shows(asked.id, () => true);
    expect(card).toMatchObject({
      title: 'Deploy shop to production?',
      tone: 'warning',
      blocks: [{ type: 'markdown', text: 'Commit 3f2a1b0: faster orders' }],
    });
    expect(card.actions).toEqual([
      { id: 'approval-approve', label: 'Approve', style: 'primary', value: asked.id },
      { id: 'approval-reject', label: 'Reject', style: 'danger', value: asked.id },
    ]);
    for (const part of [
      asked.id.slice(0, 8),
      asked.digest.slice(0, 8),
      'an operator other than ada',
      asked.expires_at.toISOString().slice(0, 10),
      'Release 7',
    ])
      expect(card.footer).toContain(part);
    expect(asked.expires_at.getTime() - asked.created_at.getTime()).toBe(24 * HOUR_MS);
  });

  it('is approved by a press: once told, shown without buttons, audited, with its digest', async () => {
    const thread = newThread();
    const asked = await world.ask({ thread });
    const card = await world.shows(asked.id, () => true);
    expect(await isApproved(database.db, asked.id, asked.digest)).toBe(false);
    await world.chat.press(card, 'approval-approve', { thread, user: 'grace' });
    const after = await world.shows(asked.id, decided);
    expect(after).toMatchObject({ title: 'Approved: Deploy shop to production?', tone: 'success' });
    expect(after.footer).toMatch(/^Approved by grace, \d{4}-\d\d-\d\d \d\d:\d\d UTC · approval /);
    expect(world.told.filter(({ id }) => id === asked.id)).toMatchObject([
      { state: 'approved', decided_by: { id: 'grace' } },
    ]);
    expect(await began(database, asked.subject_id)).toHaveLength(1);
    expect(await isApproved(database.db, asked.id, asked.digest)).toBe(true);
    expect(await isApproved(database.db, asked.id, digestOf({ commit: 'another' }))).toBe(false);
    const audit = await database.db
      .selectFrom('audit')
      .selectAll()
      .where('subject', '=', asked.id)
      .executeTakeFirstOrThrow();
    expect(audit).toMatchObject({
      actor: 'slack:grace',
      action: 'approval.approved',
      detail: { digest: asked.digest, subject: 'deployment' },
    });
  });

  it('is rejected in words, with a reason', async () => {
    const thread = newThread();
    const asked = await world.ask({ thread });
    await world.shows(asked.id, () => true);
    await world.chat.say('reject leap years are not covered', { thread, user: 'grace' });
    const after = await world.shows(asked.id, decided);
    expect(after).toMatchObject({ title: 'Rejected: Deploy shop to production?', tone: 'danger' });
    expect(after.blocks.at(-1)).toEqual({ type: 'quote', text: 'leap years are not covered' });
    expect(await world.row(asked.id)).toMatchObject({
      state: 'rejected',
      reason: 'leap years are not covered',
    });
    expect(world.told.find(({ id }) => id === asked.id)?.state).toBe('rejected');
  });

  it('needs its role at the moment of the press', async () => {
    const thread = newThread();
    const asked = await world.ask({ thread, requiredRole: 'admin' });
    const card = await world.shows(asked.id, () => true);
    for (const user of ['eve', 'ada']) {
      await world.chat.press(card, 'approval-approve', { thread, user });
      await world.answered(`Sorry ${user}, this is for an admin to decide`);
    }
    expect((await world.row(asked.id)).state).toBe('pending');
    expect(world.card(asked.id).actions).toHaveLength(2);
    await world.chat.press(card, 'approval-approve', { thread, user: 'root' });
    await world.shows(asked.id, decided);
    expect((await world.row(asked.id)).decided_by?.id).toBe('root');
  });

  it('is not for the one who asked, where four eyes are wanted, whatever their role', async () => {
    const thread = newThread();
    const asked = await world.ask({ thread, fourEyes: true, requestedBy: 'root' });
    const card = await world.shows(asked.id, () => true);
    await world.chat.press(card, 'approval-approve', { thread, user: 'root' });
    await world.answered('root, somebody else has to decide what you asked for');
    await world.chat.say('approve', { thread, user: 'root' });
    await world.chat.say(`reject ${asked.id.slice(0, 8)}`, { thread, user: 'root' });
    await world.chat.until(
      (shown) => shown.filter(({ card: { title } }) => title.startsWith('root, somebody else')).length === 3,
    );
    expect((await world.row(asked.id)).state).toBe('pending');
    await world.chat.say('approve', { thread, user: 'grace', addressed: false });
    await world.shows(asked.id, decided);
  });

  it('tells whoever comes second who was first', async () => {
    const thread = newThread();
    const asked = await world.ask({ thread });
    const card = await world.shows(asked.id, () => true);
    await world.chat.press(card, 'approval-reject', { thread, user: 'grace' });
    await world.shows(asked.id, decided);
    await world.chat.press(card, 'approval-approve', { thread, user: 'ada' });
    const late = await world.answered(/^Rejected by grace, /);
    expect(late.card.blocks).toEqual([
      { type: 'markdown', text: 'It was decided before, so this changes nothing.' },
    ]);
    // The same in words, which name no question any more.
    await world.chat.say('approve', { thread });
    await world.chat.until(
      (shown) => shown.filter(({ card: { title } }) => /^Rejected by grace/.test(title)).length === 2,
    );
    expect((await world.row(asked.id)).state).toBe('rejected');
    expect(await began(database, asked.subject_id)).toHaveLength(1);
  });

  it('asks which, where several are open, and takes the number a card shows', async () => {
    const thread = newThread();
    const one = await world.ask({ thread, title: 'Deploy shop?' });
    const two = await world.ask({ thread, title: 'Deploy cart?' });
    await world.chat.say('approve', { thread });
    const which = await world.answered('Which one? 2 questions are open here');
    for (const word of ['Deploy shop?', 'Deploy cart?', one.id.slice(0, 8), two.id.slice(0, 8)])
      expect(JSON.stringify(which.card.blocks)).toContain(word);
    await world.chat.say(`approve ${two.id.slice(0, 8)}`, { thread });
    await world.shows(two.id, decided);
    await world.chat.say(`reject ${one.id.slice(0, 8).toUpperCase()}: too early`, { thread });
    await world.shows(one.id, decided);
    expect(await world.row(one.id)).toMatchObject({ state: 'rejected', reason: 'too early' });
    expect((await world.row(two.id)).state).toBe('approved');
  });

  it('is decided where it was asked and nowhere else', async () => {
    const thread = newThread();
    const asked = await world.ask({ thread });
    const card = await world.shows(asked.id, () => true);
    const elsewhere = newThread();
    await world.chat.press(card, 'approval-approve', { thread: elsewhere });
    await world.answered('That question is not from this thread');
    await world.chat.say(`approve ${asked.id.slice(0, 8)}`, { thread: elsewhere });
    await world.answered(`There is no question ${asked.id.slice(0, 8)} in this thread`);
    await world.chat.say('approve', { thread: elsewhere });
    await world.answered('Nothing waits for approval here');
    expect((await world.row(asked.id)).state).toBe('pending');
  });

  it('leaves people alone who say the word to each other', async () => {
    const thread = newThread();
    await world.chat.say('help', { thread });
    const id = await world.chat.say('approve', { thread, addressed: false });
    await world.chat.say('status', { thread });
    await world.answered('Nothing has been started here');
    const { outcome } = await database.db
      .selectFrom('message')
      .select('outcome')
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    expect(outcome).toBe('ignored');
  });

  it('is one question however often it is asked; another digest is another, and takes the first back', async () => {
    const about = 'deployment-7';
    const thread = newThread();
    const first = await world.ask({ thread, about });
    expect((await world.ask({ thread, about })).id).toBe(first.id);
    const card = await world.shows(first.id, () => true);
    const second = await world.ask({ thread, about, digest: digestOf('something else') });
    expect(second.id).not.toBe(first.id);
    const taken = await world.shows(first.id, decided);
    expect(taken.title).toBe('Withdrawn: Deploy shop to production?');
    await world.chat.press(card, 'approval-approve', { thread });
    await world.answered(/^Withdrawn, /);
    expect(world.told.filter(({ id }) => id === first.id)).toEqual([]);
    await database.db
      .transaction()
      .execute((trx) => world.approvals.withdraw(trx, 'deployment', about, 'The branch is gone.'));
    expect((await world.shows(second.id, decided)).blocks.at(-1)).toEqual({
      type: 'quote',
      text: 'The branch is gone.',
    });
    // Asked again it stays what it was.
    expect((await world.ask({ thread, about })).state).toBe('withdrawn');
  });

  it('takes the decision back when what follows from it cannot begin', async () => {
    const thread = newThread();
    const asked = await world.ask({ thread });
    const card = await world.shows(asked.id, () => true);
    world.break(true);
    await world.chat.press(card, 'approval-approve', { thread });
    await expect.poll(() => world.refused, { timeout: 30_000 }).toBeGreaterThan(0);
    expect((await world.row(asked.id)).state).toBe('pending');
    // The job comes back.
    world.break(false);
    await world.shows(asked.id, decided);
    expect(await began(database, asked.subject_id)).toHaveLength(1);
  });
});

describe('time', { timeout: 120_000 }, () => {
  it('ends a question nobody decided, also when the service was away at that moment', async () => {
    await using database = await openTestDatabase('postgres');
    let time = new Date('2026-01-01T12:00:00Z');
    const chat = createMemorySurface(ROLES);
    let id: string;
    let card: ReturnType<ApprovalWorld['card']>;
    {
      await using before = await openApprovals(database, () => time, chat);
      ({ id } = await before.ask());
      card = await before.shows(id, () => true);
      // Too early: it is looked at again later.
      await before.approvals.expire(id);
      expect((await before.row(id)).state).toBe('pending');
    }
    time = new Date(time.getTime() + 24 * HOUR_MS);
    // What a day is for pg-boss.
    const due = await sql<{ id: string }>`
      update pgboss.job set start_after = now() where name = 'approval' and state = 'created'
      returning id`.execute(database.db);
    expect(due.rows).toHaveLength(1);
    await using after = await openApprovals(database, () => time, chat);
    const expired = await after.shows(id, decided);
    expect(expired).toMatchObject({ title: 'Expired: Deploy shop to production?', tone: 'neutral' });
    expect(after.told).toMatchObject([{ id, state: 'expired', decided_by: null }]);
    await after.chat.press(card, 'approval-approve');
    expect((await after.answered(/^Expired, 2026-01-02 12:00 UTC/)).card.blocks).toMatchObject([
      { text: expect.stringContaining('Ask for it again') },
    ]);
  });

  it('is looked at by whoever presses, before the timer was', async () => {
    await using database = await openTestDatabase('postgres');
    let time = new Date('2026-01-01T12:00:00Z');
    await using world = await openApprovals(database, () => time);
    const { id, subject_id } = await world.ask();
    const card = await world.shows(id, () => true);
    time = new Date(time.getTime() + 25 * HOUR_MS);
    await world.chat.press(card, 'approval-approve', { user: 'grace' });
    await world.answered(/^Expired, /);
    await world.approvals.expire(id);
    expect(world.told.map(({ state }) => state)).toEqual(['expired']);
    expect(await began(database, subject_id)).toHaveLength(1);
  });
});

forEachStore((kind, open) => {
  it(`is decided by one of many who press at once on ${kind}`, { timeout: 120_000 }, async () => {
    await using database = await open();
    await using world = await openApprovals(database);
    const asked = await world.ask();
    const card = await world.shows(asked.id, () => true);
    const people = ['ada', 'grace', 'root', 'ada', 'grace', 'root'];
    // The timer looks, too.
    await Promise.all([
      world.approvals.expire(asked.id),
      ...people.map((user, index) =>
        world.chat.press(card, index % 2 ? 'approval-approve' : 'approval-reject', { user }),
      ),
    ]);
    await world.chat.until((shown) => shown.filter(({ key }) => key.startsWith('reply:')).length === 5);
    expect(world.told).toHaveLength(1);
    expect(await began(database, asked.subject_id)).toHaveLength(1);
  });
});

it('is wired into the service', { timeout: 120_000 }, async () => {
  await using test = await testComio({
    script: { scenarios: [{ name: 'none', when: 'nothing', steps: [{ text: 'Nothing.' }] }] },
  });
  await test.chat.say('approve');
  await test.chat.until((shown) =>
    shown.find(({ card }) => card.title === 'Nothing waits for approval here'),
  );
});
