import { setTimeout } from 'node:timers/promises';
import { answered, isEnd, only, PATIENCE_MS, passes, press, type Stage, say, tsOf } from './stage.ts';

/** What the stages share: the thread of the imported project, and its pull request. */
const shared: { thread?: string; pull?: number } = {};
const threadOf = (): string => {
  if (!shared.thread) throw new Error('the stage before this one did not run');
  return shared.thread;
};

const fix: Stage = {
  part: 'edit',
  title: 'A repository with a failing test, and a word in between',
  async run(world, terminal) {
    const { org } = world.github;
    const ts = await say(world, terminal, `@comio import ${org}/durations`);
    shared.thread = ts;
    await answered(world, terminal, ts, 'Comio imports the repository', (text) => /Imported/.test(text));
    const before = await tsOf(world, ts);
    await say(world, terminal, '@comio fix it', ts);
    const live = await answered(
      world,
      terminal,
      ts,
      'Comio looks at the tests',
      (text) => /failed/.test(text),
      before,
    );
    await say(world, terminal, 'upper-case units like 2H should work too, please, with a test', ts);
    await answered(world, terminal, ts, 'Comio takes the message up', (text) => /Applied/.test(text), before);
    await answered(world, terminal, ts, 'Comio fixes and publishes', isEnd, new Set([...before, live.ts]));
    const pull = await only(world.github.pullRequests({ owner: org, repo: 'durations' }), 'pull requests');
    if (pull.state !== 'open') throw new Error(`the pull request is ${pull.state}`);
    shared.pull = pull.number;
    const files = await world.github.pullRequestFiles({ owner: org, repo: 'durations', number: pull.number });
    const tested = await passes(world, terminal, `${org}/durations`, pull.head.branch);
    return `pull request #${pull.number}, ${files.length} files; ${tested}`;
  },
};

const review: Stage = {
  part: 'edit',
  title: 'A review comment is answered by a further commit',
  async run(world, terminal) {
    const on = { owner: world.github.org, repo: 'durations', number: shared.pull ?? 0 };
    const before = await only(world.github.pullRequests(on), 'pull requests');
    const known = new Set((await world.github.comments(on)).map(({ id }) => id));
    const body = '@comio please say in the README that units may be upper case';
    terminal.show({
      id: 'review',
      thread: `GitHub ${on.owner}/${on.repo}#${on.number}, on src/parse.js`,
      author: 'Grace',
      byBot: false,
      text: body,
    });
    await world.github.reviewComment({ ...on, user: 'grace', body, path: 'src/parse.js', line: 1 });
    const done = terminal.wait('Comio answers the review');
    const deadline = Date.now() + PATIENCE_MS;
    let after = before;
    for (;;) {
      const fresh = (await world.github.comments(on)).filter(({ id, byBot }) => byBot && !known.has(id));
      after = await only(world.github.pullRequests(on), 'pull requests');
      if (after.head.sha !== before.head.sha && fresh.some((comment) => isEnd(comment.body))) break;
      if (Date.now() > deadline) throw new Error('the review comment was not answered');
      await setTimeout(200);
    }
    done();
    if (after.head.branch !== before.head.branch) throw new Error('the commit went to another branch');
    const tested = await passes(world, terminal, `${on.owner}/${on.repo}`, after.head.branch);
    return `${before.head.sha.slice(0, 7)} → ${after.head.sha.slice(0, 7)} on the same branch; ${tested}`;
  },
};

const undo: Stage = {
  part: 'edit',
  title: 'Undo, after showing the diff',
  async run(world, terminal) {
    const ts = threadOf();
    const { org } = world.github;
    const number = shared.pull ?? 0;
    const on = { owner: org, repo: 'durations', number };
    const pull = await only(world.github.pullRequests(on), 'pull requests');
    const files = await world.github.pullRequestFiles(on);
    if (!files.some(({ filename }) => filename === 'README.md'))
      throw new Error('the review changed no README');
    const before = await tsOf(world, ts);
    await say(world, terminal, '@comio undo', ts);
    const preview = await answered(
      world,
      terminal,
      ts,
      'Comio shows what undo would change',
      (text) => /README\.md/.test(text) && /\[Undo\]/.test(text),
      before,
    );
    await press(world, terminal, preview, { id: 'undo-confirm', label: 'Undo' });
    await answered(
      world,
      terminal,
      ts,
      'Comio goes back',
      (text) => /Undone/.test(text) && !/\[/.test(text),
      before,
    );
    const left = await world.github.pullRequestFiles(on);
    if (left.some(({ filename }) => filename === 'README.md')) throw new Error('the README is still changed');
    const now = await only(world.github.pullRequests(on), 'pull requests');
    const tested = await passes(world, terminal, `${org}/durations`, now.head.branch);
    return `${pull.head.sha.slice(0, 7)} → ${now.head.sha.slice(0, 7)}, README as before; ${tested}`;
  },
};

export const editStages: readonly Stage[] = [fix, review];
/** The end of the whole walk. */
export const undoStages: readonly Stage[] = [undo];
