import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { APPROVAL_ACTIONS } from '#core/conversations/card.ts';
import { createGitHubPeer, type GitHubPeer } from '#test/peers/github.ts';
import {
  byKey,
  call,
  change,
  commit,
  propose,
  remediationWorld,
  reproduce,
  textOf,
} from './remediation-world.ts';

const right = [
  reproduce,
  call('edit_file', {
    path: 'price.mjs',
    old_string: '(sum, { price }) => sum + price',
    new_string: '(sum, { price, quantity }) => sum + price * quantity',
  }),
  commit,
  propose,
];

describe('a fix', () => {
  let github: GitHubPeer;
  beforeAll(async () => {
    github = await createGitHubPeer();
  });
  afterAll(() => github[Symbol.asyncDispose]());

  it('goes from the button to a pull request, is deployed, watched, and the incident resolved', async () => {
    await using world = await remediationWorld(github, { steps: right });
    const { chat } = world;
    await Promise.all([world.fix(), world.fix()]);
    const question = await chat.until((shown) => byKey('approval:')(shown));
    const asked = textOf(question.card);
    for (const part of [
      'leaves out the quantity',
      'price * quantity',
      'counts quantities',
      'exit 1',
      'exit 0',
    ])
      expect(asked).toContain(part);
    const turn = await chat.until((shown) => shown.find(({ card }) => /^Proposed a fix/.test(card.title)));
    expect(turn.card.tone).toBe('success');
    expect(await github.pullRequests(world.on)).toEqual([]);
    expect((await world.incident()).state).toBe('waiting');
    await chat.press(question.card, APPROVAL_ACTIONS.approve);
    const row = await world.reaches('published');
    const [pull, ...more] = await github.pullRequests(world.on);
    expect(more).toEqual([]);
    expect(pull).toMatchObject({ state: 'open', head: { sha: row.proposal?.sha } });
    for (const part of [world.id, 'Totals differ', 'Before', 'After', 'node --test'])
      expect(pull?.body).toContain(part);
    const files = await github.pullRequestFiles({ ...world.on, number: pull?.number ?? 0 });
    expect(files.map(({ filename }) => filename).toSorted()).toEqual(['price.mjs', 'test/quantity.test.mjs']);
    expect(await world.remediation()).toHaveLength(1);
    await world.fix();
    await chat.until((shown) =>
      shown.some(({ card }) => card.title === 'No fix was begun' && textOf(card).includes('pull request')),
    );

    world.points.push({ t: Date.now(), v: 0.02 });
    await world.mergeAndDeploy();
    const result = await chat.until((shown) => byKey('watch:')(shown));
    expect(result.card.title).toMatch(/^Recovered after \d/);
    expect(result.card.tone).toBe('success');
    expect(textOf(result.card)).toContain('0 to 0.1');
    expect((await world.incident()).state).toBe('resolved');
    expect(await world.db.selectFrom('watch').selectAll().execute()).toHaveLength(1);
  });

  it('that does not help is said to, with values and a way back', async () => {
    await using world = await remediationWorld(github, { steps: right });
    await world.fix();
    const question = await world.chat.until((shown) => byKey('approval:')(shown));
    await world.chat.press(question.card, APPROVAL_ACTIONS.approve);
    await world.reaches('published');
    await world.mergeAndDeploy();
    const result = await world.chat.until((shown) => byKey('watch:')(shown));
    expect(result.card).toMatchObject({ title: 'Not recovered', tone: 'danger' });
    expect(textOf(result.card)).toContain('last 0.5, expected 0 to 0.1');
    expect(textOf(result.card)).toContain('rollback staging');
    expect((await world.incident()).state).toBe('unresolved');
  });

  it('is judged by what the senders say where there is no metrics source', async () => {
    await using world = await remediationWorld(github, { steps: right, noMetrics: true });
    await world.fix();
    const question = await world.chat.until((shown) => byKey('approval:')(shown));
    await world.chat.press(question.card, APPROVAL_ACTIONS.approve);
    await world.reaches('published');
    await world.db.updateTable('signal').set({ ends_at: new Date() }).execute();
    await world.mergeAndDeploy();
    const result = await world.chat.until((shown) => byKey('watch:')(shown));
    expect(result.card.title).toMatch(/^Recovered/);
    expect(textOf(result.card)).toContain('no metrics source');
  });

  it('that is rejected leaves no trace on the forge, and can be tried anew', async () => {
    await using world = await remediationWorld(github, { steps: right });
    const { chat } = world;
    await world.fix();
    const question = await chat.until((shown) => byKey('approval:')(shown));
    await chat.press(question.card, APPROVAL_ACTIONS.reject);
    const row = await world.reaches('rejected');
    expect(row.error).toContain('ada');
    expect((await world.incident()).state).toBe('diagnosed');
    expect(await github.pullRequests(world.on)).toEqual([]);
    expect((await github.branches(world.on)).map(({ name }) => name)).toEqual(['main']);
    await world.fix();
    await chat.until((shown) => shown.filter(({ key }) => key.startsWith('approval:')).length === 2);
    expect(await world.remediation()).toHaveLength(2);
  });

  it('that was rejected is not published with what is asked for next', async () => {
    await using world = await remediationWorld(github, { steps: right });
    const { chat } = world;
    await world.fix();
    const question = await chat.until((shown) => byKey('approval:')(shown));
    await chat.press(question.card, APPROVAL_ACTIONS.reject);
    await world.reaches('rejected');
    await chat.say('edit notes please');
    await chat.until((shown) => shown.some(({ card }) => textOf(card).includes('Notes are there.')));
    const [pull, ...more] = await github.pullRequests(world.on);
    expect(more).toEqual([]);
    const files = await github.pullRequestFiles({ ...world.on, number: pull?.number ?? 0 });
    expect(files.map(({ filename }) => filename)).toEqual(['NOTES.md']);
  });

  it('that waits for approval is not published with what is asked for meanwhile', async () => {
    await using world = await remediationWorld(github, { steps: right });
    const { chat } = world;
    await world.fix();
    const question = await chat.until((shown) => byKey('approval:')(shown));
    await chat.say('edit notes please');
    await chat.until((shown) =>
      shown.some(({ key, card }) => key.startsWith('final:') && textOf(card).includes('not approved')),
    );
    expect(await github.pullRequests(world.on)).toEqual([]);
    expect((await github.branches(world.on)).map(({ name }) => name)).toEqual(['main']);
    await chat.press(question.card, APPROVAL_ACTIONS.approve);
    const row = await world.reaches('published');
    const [pull] = await github.pullRequests(world.on);
    expect(pull?.head.sha).toBe(row.proposal?.sha);
  });

  it('does not take the thread from a turn that is at work', async () => {
    await using world = await remediationWorld(github, { steps: right });
    const { chat, db } = world;
    await chat.say('edit take your time');
    const own = await chat.until((shown) => shown.find(({ card }) => textOf(card).includes('sleep 120')));
    await world.fix();
    const told = await chat.until((shown) => shown.find(({ card }) => card.title === 'No fix was begun'));
    expect(textOf(told.card)).toContain('take your time');
    expect(await world.remediation()).toEqual([]);
    expect((await world.incident()).state).toBe('diagnosed');
    await chat.press(own.card, 'stop');
    await chat.until((shown) => shown.some(({ card }) => card.title.startsWith('Stopped by ada')));
    await world.fix();
    await chat.until((shown) => byKey('approval:')(shown));
    expect(await db.selectFrom('turn').select('state').where('verb', '=', 'edit').execute()).toEqual([
      { state: 'stopped' },
    ]);
  });

  it('leaves the stop button of a turn to that turn when the thread has another run', async () => {
    await using world = await remediationWorld(github, { steps: right });
    const { chat, db } = world;
    await chat.say('edit take your time');
    const own = await chat.until((shown) => shown.find(({ card }) => textOf(card).includes('sleep 120')));
    await db.updateTable('conversation').set({ run_id: null }).execute();
    await chat.press(own.card, 'stop');
    await chat.until((shown) => shown.some(({ card }) => card.title.startsWith('Stopped by ada')));
  });

  it('starts from what was live when it began, though a better release is live by now', async () => {
    await using world = await remediationWorld(github, { steps: right });
    const fixed =
      'export const total = (items) => items.reduce((sum, { price, quantity }) => sum + price * quantity, 0);\n';
    await world.deployNow({ 'price.mjs': fixed });
    await world.fix();
    await world.chat.until((shown) => byKey('approval:')(shown));
    expect((await world.remediation()).at(-1)?.base_sha).toBe(world.base);
  });

  it('that cannot be pushed is said to at once', async () => {
    await using world = await remediationWorld(github, { steps: right });
    const { chat, db } = world;
    await world.fix();
    const question = await chat.until((shown) => byKey('approval:')(shown));
    const { run_id } = (await world.remediation()).at(-1) ?? { run_id: '' };
    const { branch } = await db
      .selectFrom('run')
      .select('branch')
      .where('id', '=', run_id)
      .executeTakeFirstOrThrow();
    await github.pushBranch({ ...world.on, branch, files: { 'other.txt': 'Not built upon.\n' } });
    await chat.press(question.card, APPROVAL_ACTIONS.approve);
    const told = await chat.until((shown) =>
      shown.find(({ card }) => card.title === 'The fix could not be published'),
    );
    expect(textOf(told.card)).toContain('does not build upon');
    expect((await world.reaches('failed')).error).toContain(branch);
  });

  it('is asked about while signals of its incident are taken in, without a deadlock', async () => {
    await using world = await remediationWorld(github, { steps: right });
    const { chat, db } = world;
    await world.fix();
    await world.reaches('working');
    const { conversation_id: conversation } = await world.incident();
    await db.transaction().execute(async (trx) => {
      // Of two that wait for each other the one that looks first is ended: this one.
      await sql`set local deadlock_timeout = '20ms'`.execute(trx);
      await trx.updateTable('incident').set({ severity: 'warning' }).where('id', '=', world.id).execute();
      for (;;) {
        const { rows } = await sql`
          select 1 from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%"incident"%'`.execute(
          db,
        );
        if (rows.length > 0) break;
        await sleep(50);
      }
      // What showing a card locks.
      await sql`insert into outbox (key, conversation_id, content, priority)
        values ('test', ${conversation}, '{"type":"card","card":{"title":"Seen","tone":"neutral","blocks":[],"actions":[]}}', 5)`.execute(
        trx,
      );
      await sql`select pg_advisory_xact_lock(hashtextextended(${`outbox/${conversation}`}, 0))`.execute(trx);
    });
    await chat.until((shown) => byKey('approval:')(shown));
    await world.reaches('proposed');
  });

  it('that was deployed while it was being published is seen to be live', async () => {
    const held = Promise.withResolvers<void>();
    await using world = await remediationWorld(github, {
      steps: right,
      forge: (forge) => ({
        ...forge,
        async openPullRequest(...asked) {
          const pull = await forge.openPullRequest(...asked);
          await held.promise;
          return pull;
        },
      }),
    });
    const { chat } = world;
    world.points.push({ t: Date.now(), v: 0.02 });
    await world.fix();
    const question = await chat.until((shown) => byKey('approval:')(shown));
    await chat.press(question.card, APPROVAL_ACTIONS.approve);
    for (let pulls = await github.pullRequests(world.on); pulls.length === 0; ) {
      await sleep(100);
      pulls = await github.pullRequests(world.on);
    }
    await world.mergeAndDeploy();
    expect((await world.remediation()).at(-1)?.state).toBe('approved');
    held.resolve();
    await world.reaches('deployed');
    await chat.until((shown) => byKey('watch:')(shown));
  });

  it('that nobody decides on in time is not published, and the thread says so', async () => {
    await using world = await remediationWorld(github, { steps: right });
    const { chat, db } = world;
    await world.fix();
    await chat.until((shown) => byKey('approval:')(shown));
    const past = new Date(Date.now() - 1000);
    await db.updateTable('approval').set({ expires_at: past }).where('state', '=', 'pending').execute();
    await sql`update pgboss.job set start_after = now() where name = 'approval'`.execute(db);
    const row = await world.reaches('failed');
    expect(row.error).toContain('in time');
    await chat.until((shown) => shown.some(({ card }) => card.title === 'The fix was not decided on'));
    expect(await github.pullRequests(world.on)).toEqual([]);
  });

  describe('is not proposed when', () => {
    const cases: [string, unknown[], string][] = [
      ['nothing was reproduced', [change('sum + price * 2'), commit, propose], 'Could not reproduce'],
      ['the reproduction passes already', [call('reproduce', { command: 'true' })], 'Could not reproduce'],
      [
        'the code was changed first',
        [change('sum - price'), reproduce, commit, propose],
        'Could not reproduce',
      ],
      ['the tests break', [reproduce, change('6 + price * 0'), commit, propose], 'no fix was found'],
      [
        'the fault is still there',
        [reproduce, change('sum + price * 1'), commit, propose],
        'no fix was found',
      ],
      ['only tests are changed', [reproduce, commit, propose], 'no fix was found'],
      [
        'the reproduction is changed',
        [
          reproduce,
          call('edit_file', { path: 'test/quantity.test.mjs', old_string: '}]), 6)', new_string: '}]), 2)' }),
          change('sum + price + 0'),
          commit,
          propose,
        ],
        'no fix was found',
      ],
    ];
    let world: Awaited<ReturnType<typeof remediationWorld>>;
    beforeAll(async () => {
      world = await remediationWorld(github, {
        steps: Object.fromEntries(cases.map(([when, steps]) => [when, steps])),
      });
    });
    afterAll(() => world?.[Symbol.asyncDispose]());

    it.each(cases)('%s', async (when, _, title) => {
      const before = world.chat.shown.length;
      const { fix, reaches, incident } = await world.diagnosed(when);
      await fix();
      const row = await reaches('failed');
      expect(row.proposal).toBeNull();
      const final = await world.chat.until((shown) =>
        shown.slice(before).find(({ card }) => card.title.includes(title)),
      );
      expect(final.card.tone).not.toBe('success');
      expect((await incident()).state).toBe('diagnosed');
      expect(world.chat.shown.filter(({ key }) => key.startsWith('approval:'))).toEqual([]);
    });
  });

  it('does not touch what policy denies, by whatever way, and the thread says so', async () => {
    const workflow = '.github/workflows/ci.yml';
    await using world = await remediationWorld(github, {
      steps: [
        reproduce,
        call('edit_file', { path: workflow, old_string: 'on: push', new_string: 'on: pull_request_target' }),
        call('run_command', { command: `ln -s .github innocent` }),
        call('create_file', { path: 'innocent/workflows/more.yml', content: 'on: push\n' }),
        call('run_command', { command: `rm innocent; echo 'on: issues' > ${workflow}` }),
        call('git_commit', { message: 'Sneak' }),
        ...right.slice(1, 2),
        call('run_command', {
          command: 'git add -A && git -c user.name=x -c user.email=x@y commit -qm sneak',
        }),
        propose,
      ],
      env: { DENIED_PATHS: 'secret/**' },
    });
    await world.fix();
    await world.reaches('failed');
    const live = await world.chat.until((shown) =>
      shown.find(({ key, card }) => key.startsWith('turn:') && textOf(card).includes('denied by policy')),
    );
    expect(textOf(live.card).match(/Refused to change \.github\/workflows/g)).toHaveLength(4);
    const final = world.chat.shown.filter(({ key }) => key.startsWith('final:')).at(-1);
    expect(final && textOf(final.card)).toContain('Refused to change, denied by policy');
    expect(await github.pullRequests(world.on)).toEqual([]);
  });

  it('stops at the word, and the incident can be fixed anew', async () => {
    await using world = await remediationWorld(github, {
      steps: [reproduce, call('run_command', { command: 'sleep 60' })],
    });
    const { chat } = world;
    await world.fix();
    await chat.until((shown) => shown.find(({ card }) => textOf(card).includes('sleep 60')));
    await chat.say('stop', { addressed: false });
    const row = await world.reaches('failed');
    expect(row.error).toContain('Stopped by ada');
    expect((await world.incident()).state).toBe('diagnosed');
  });

  it('that is undone before anybody decided is asked no more', async () => {
    await using world = await remediationWorld(github, { steps: right });
    const { chat } = world;
    await world.fix();
    await chat.until((shown) => byKey('approval:')(shown));
    await chat.say('undo');
    const preview = await chat.until((shown) => shown.find(({ card }) => /^Undo: /.test(card.title)));
    await chat.press(preview.card, 'undo-confirm');
    const row = await world.reaches('failed');
    expect(row.error).toContain('undone');
    const approval = await world.db
      .selectFrom('approval')
      .selectAll()
      .where('subject', '=', 'remediation')
      .executeTakeFirst();
    expect(approval?.state).toBe('withdrawn');
  });
});
