import { describe, expect, it } from 'vitest';
import { composeFinal, type FinalView } from '#core/runs/evidence.ts';
import type { Fact, TestCounts } from '#core/runs/tools/tool.ts';

const ran = (
  command: string,
  exitCode: number | null,
  tests?: Partial<TestCounts>,
  ended = 'exit',
): Fact => ({
  type: 'command',
  command,
  exitCode,
  ended,
  tests: tests && { passed: 0, failed: 0, skipped: 0, ...tests },
});
const edited: Fact = { type: 'file', path: 'a.ts', change: 'edited' };
const passed = ran('npm test', 0, { passed: 14 });
const failed = ran('npm test', 1, { passed: 12, failed: 2 });
const commit: Fact = { type: 'commit', sha: 'a1b2c3d4e5f6', subject: 'Add *pagination*' };
const published = (created: boolean): Fact => ({
  type: 'publish',
  repository: 'ada/recipes',
  url: 'https://forge.example/ada/recipes',
  branch: 'comio/x',
  sha: 'a1b2c3d4e5f6',
  pullRequest: { number: 7, url: 'https://forge.example/ada/recipes/pull/7', created },
});

const diffStat = {
  files: [
    { path: 'src/a.ts', insertions: 10, deletions: 2 },
    { path: 'src/b.ts', insertions: 1, deletions: 0 },
  ],
  insertions: 11,
  deletions: 2,
};
const final = (change: Partial<FinalView> = {}) =>
  composeFinal({ verb: 'edit', words: '', facts: [], diffStat, pullRequest: undefined, ...change });
const text = (change: Partial<FinalView>) => JSON.stringify(final(change).blocks);
const field = (label: string, change: Partial<FinalView>) =>
  final(change)
    .blocks.flatMap((block) => (block.type === 'fields' ? block.fields : []))
    .find((candidate) => candidate.label === label)?.value;

describe('the final message', () => {
  it('is composed of what was observed, around the words', () => {
    const facts = [failed, edited, passed, commit, published(true)];
    expect(final({ words: 'I added it.\nIt works.', facts })).toEqual({
      title: 'Ready: pull request #7',
      tone: 'success',
      blocks: [
        { type: 'markdown', text: '**The model’s summary**\n> I added it.\n> It works.' },
        {
          type: 'fields',
          fields: [
            { label: 'Tests', value: 'Passed: 14 passed, exit 0 (`npm test`)' },
            { label: 'Changed', value: '2 files, +11 −2' },
            { label: 'Commit', value: '`a1b2c3d` Add \\*pagination\\*' },
          ],
        },
        { type: 'markdown', text: '**Files**\n- `src/a.ts` +10 −2\n- `src/b.ts` +1 −0' },
        {
          type: 'links',
          links: [
            { label: 'Pull request #7', url: 'https://forge.example/ada/recipes/pull/7' },
            { label: 'ada/recipes', url: 'https://forge.example/ada/recipes' },
          ],
        },
      ],
      actions: [],
      footer: 'Observed by Comio while it worked; the summary is the model’s.',
    });
  });

  it.each<[string, string, Fact[], string]>([
    [
      'the last test run passed',
      'success',
      [failed, edited, passed],
      'Passed: 14 passed, exit 0 (`npm test`)',
    ],
    ['no tests were run', 'warning', [edited], 'No tests were run'],
    [
      'the last test run failed',
      'danger',
      [passed, edited, failed],
      'The last test run failed: 2 of 14 failed, exit 1 (`npm test`)',
    ],
    [
      'tests failed and the exit code hides it',
      'danger',
      [edited, ran('npm test | tail', 0, { passed: 1, failed: 1 })],
      'The last test run failed: 1 of 2 failed, exit 0 (`npm test | tail`)',
    ],
    [
      'files were changed after the tests',
      'warning',
      [edited, passed, edited],
      'Passed, before the last change and not run again: 14 passed, exit 0 (`npm test`)',
    ],
    [
      'the tests were killed',
      'warning',
      [edited, ran('npm test', null, undefined, 'timeout')],
      'The last test run proves nothing: killed when its time was up (`npm test`)',
    ],
    [
      'no test ran',
      'warning',
      [edited, ran('npm test', 0, {})],
      'The last test run proves nothing: none ran, exit 0 (`npm test`)',
    ],
    [
      'another command failed afterwards',
      'warning',
      [edited, passed, ran('npm run lint', 1)],
      'Passed: 14 passed, exit 0 (`npm test`)',
    ],
    [
      'another command failed and then passed',
      'success',
      [edited, passed, ran('npm run lint', 1), ran('npm run lint', 0)],
      'Passed: 14 passed, exit 0 (`npm test`)',
    ],
    [
      'a reproduction failed before the change',
      'success',
      [ran('node repro.js', 1), edited, passed],
      'Passed: 14 passed, exit 0 (`npm test`)',
    ],
    [
      'a search found nothing',
      'success',
      [edited, passed, ran('grep -rn foo src | head', 1)],
      'Passed: 14 passed, exit 0 (`npm test`)',
    ],
  ])('when %s, is a %s', (_name, tone, facts, tests) => {
    // Whatever the model says.
    for (const words of ['', 'All tests pass, everything is perfect.', 'It failed, I am sorry.']) {
      expect(final({ facts, words }).tone).toBe(tone);
      expect(field('Tests', { facts, words })).toBe(tests);
    }
  });

  it('lists the commands that failed', () => {
    const facts = [edited, passed, ran('npm run lint', 1), ran('npm run `x`', null, undefined, 'lost')];
    expect(text({ facts })).toContain(
      '**Commands that failed**\\n- `npm run lint`: exit 1\\n- `npm run ˋxˋ`: its end was not seen',
    );
    expect(text({ facts: [edited, passed] })).not.toContain('Commands that failed');
  });

  it('says when nothing was committed or published', () => {
    expect(field('Commit', { facts: [edited] })).toBe('Not committed');
    expect(final({ facts: [edited, passed, commit] }).title).toBe('Changed, not published');
  });

  it.each<[string, Partial<FinalView>]>([
    ['Updated pull request #7', { facts: [edited, passed, published(false)] }],
    ['The tests fail: pull request #7', { facts: [edited, failed, published(true)] }],
    ['The tests fail', { facts: [edited, failed] }],
    ['Done, without changing a file', { diffStat: { files: [], insertions: 0, deletions: 0 } }],
    ['Stopped by Ada', { stopped: 'Ada', facts: [edited, passed] }],
    ['This could not be finished', { failed: 'The model is overloaded.', facts: [edited, passed] }],
  ])('has the title "%s"', (title, change) => {
    expect(final(change).title).toBe(title);
  });

  it('tells a stop and a failure with what was done until then', () => {
    expect(final({ stopped: 'Ada', facts: [edited, passed] }).tone).toBe('warning');
    expect(text({ stopped: 'Ada', facts: [edited, passed] })).toContain('src/a.ts');
    const failure = { failed: 'The model is overloaded.', facts: [edited, passed] };
    expect(final(failure).tone).toBe('danger');
    expect(text(failure)).toContain('The model is overloaded.');
    expect(text(failure)).toContain('src/a.ts');
  });

  it('links the pull request of the run when this turn published nothing', () => {
    const pullRequest = { number: 3, url: 'https://forge.example/ada/recipes/pull/3' };
    expect(text({ pullRequest })).toContain('Pull request #3');
  });

  it('knows of changes without a diff', () => {
    expect(final({ diffStat: undefined, facts: [edited] })).toMatchObject({
      title: 'Changed, not published',
      tone: 'warning',
    });
  });

  it('of a question is the answer, as it was given', () => {
    const card = composeFinal({
      verb: 'ask',
      words: 'In `a.ts`:\n```ts\nvalidate()\n```',
      facts: [],
      diffStat: { files: [], insertions: 0, deletions: 0 },
      pullRequest: undefined,
    });
    expect(card).toMatchObject({
      title: 'Answer',
      tone: 'neutral',
      blocks: [{ type: 'markdown', text: 'In `a.ts`:\n```ts\nvalidate()\n```' }],
    });
  });

  it('stays short, whatever there is to tell', () => {
    const files = Array.from({ length: 500 }, (_, at) => ({
      path: `src/${at}.ts`,
      insertions: 1,
      deletions: 0,
    }));
    const facts = Array.from({ length: 300 }, (_, at) => [commit, ran(`./check ${at}`, 1)]).flat();
    const change = { words: 'x'.repeat(100_000), facts, diffStat: { files, insertions: 500, deletions: 0 } };
    expect(text(change).length).toBeLessThan(9000);
    expect(text(change)).toContain('… and 488 more');
    expect(text(change)).toContain('… (shortened)');
    expect(field('Commits', change)).toContain('… 295 earlier');
  });
});
