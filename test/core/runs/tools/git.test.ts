import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ForgeError } from '#adapters/forge/forge.ts';
import { tools } from '#core/runs/tools/index.ts';
import { createWorkbench, memoryDriver, type Workbench } from './harness.ts';

const driver = memoryDriver();
let bench: Workbench;
beforeEach(async () => {
  bench = await createWorkbench(driver);
});
afterEach(() => bench[Symbol.asyncDispose]());
afterAll(() => driver[Symbol.asyncDispose]());

describe('git_status and git_diff', () => {
  it('tell what is not committed', async () => {
    expect((await bench.call(tools.git_status, {})).content).toBe(
      'On branch main, no commit yet.\nNothing to commit.',
    );
    await bench.sh('printf "one\\n" > a.txt; echo x > gone.txt; git add .; git commit -qm first');
    await bench.sh('echo two >> a.txt; rm gone.txt; echo new > "b c.txt"; git mv a.txt d.txt');
    const head = await bench.sh('git rev-parse --short=12 HEAD');
    expect(await bench.call(tools.git_status, {})).toMatchObject({
      content: `On branch main, at ${head}.\nRM a.txt -> d.txt\n D gone.txt\n?? b c.txt`,
      summary: 'Looked at git status, 3 changed files',
    });
    const { content, summary } = await bench.call(tools.git_diff, {});
    expect(content).toContain('b c.txt | +1 −0');
    expect(content).toContain('gone.txt | +0 −1');
    expect(content).toContain('+two');
    expect(summary).toBe('Looked at the diff, +3 −2');
    const part = await bench.call(tools.git_diff, { paths: ['gone.txt'] });
    expect(part.content).toContain('-x');
    expect(part.content).not.toContain('b c.txt');
  });

  it('compare with another commit, and refuse what is none', async () => {
    await bench.sh(
      'echo one > a.txt; git add .; git commit -qm first; echo two > a.txt; git commit -qam second',
    );
    expect((await bench.call(tools.git_diff, {})).content).toBe('Nothing changed.');
    expect((await bench.call(tools.git_diff, { from: 'HEAD~1' })).content).toContain('+two');
    for (const from of ['none', '--output=hacked.txt']) {
      expect(await bench.call(tools.git_diff, { from }), from).toMatchObject({ isError: true });
    }
    expect(await bench.sh('ls')).toBe('a.txt');
  });

  it('shorten a large diff, with the counts whole', async () => {
    await bench.sh('seq 1 20000 > a.txt');
    const { content } = await bench.call(tools.git_diff, {});
    expect(content).toContain('a.txt | +20000 −0');
    expect(content).toMatch(/\[… \d+ characters in \d+ lines cut here …\]/);
    expect(content.length).toBeLessThan(21_000);
  });
});

describe('git_commit', () => {
  it('commits everything but what is ignored, as the author it was given', async () => {
    await bench.sh('echo one > a.txt; mkdir dist; echo built > dist/x; echo dist > .gitignore');
    const result = await bench.call(tools.git_commit, { message: 'Add a\n\nBecause of b.' });
    const sha = await bench.sh('git rev-parse HEAD');
    expect(result).toEqual({
      content: `Committed ${sha.slice(0, 12)}:\n.gitignore | +1 −0\na.txt | +1 −0`,
      isError: false,
      summary: 'Committed: Add a',
      facts: [{ type: 'commit', sha, subject: 'Add a' }],
    });
    expect(await bench.sh('git log --format="%an <%ae> %B"')).toBe(
      'Comio <comio@example.org> Add a\n\nBecause of b.',
    );
  });

  it('does not make an empty commit', async () => {
    expect(await bench.call(tools.git_commit, { message: 'Nothing' })).toMatchObject({
      isError: true,
      facts: [],
    });
  });

  it('runs no hook of the repository', async () => {
    await bench.sh(
      'printf "#!/bin/sh\\ntouch hooked\\n" > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; echo a > a',
    );
    expect(await bench.call(tools.git_commit, { message: 'Add a' })).toMatchObject({ isError: false });
    expect(await bench.sh('ls')).toBe('a');
  });
});

describe('publish', () => {
  const request = { title: 'Add a', body: 'Because of b.' };

  it('refuses when nothing is committed, and says what to do', async () => {
    const result = await bench.call(tools.publish, request);
    expect(result).toMatchObject({ isError: true, facts: [], summary: 'Could not publish: no commit' });
    expect(result.content).toContain('git_commit');
  });

  it('refuses when something is not committed, and names it', async () => {
    await bench.sh('echo a > a.txt; git add .; git commit -qm first; for i in $(seq 12); do : > f$i; done');
    const result = await bench.call(tools.publish, request);
    expect(result).toMatchObject({
      isError: true,
      summary: 'Could not publish: not everything is committed',
    });
    expect(result.content).toMatch(/: f1, .* and 2 more\. Commit it/);
    expect(bench.published).toEqual([]);
  });

  it('publishes what is committed', async () => {
    await bench.sh('echo a > a.txt; git add .; git commit -qm first');
    const result = await bench.call(tools.publish, request);
    expect(bench.published).toEqual([request]);
    expect(result).toMatchObject({
      isError: false,
      summary: 'Opened pull request #7',
      facts: [{ type: 'publish', repository: 'ada/recipes', pullRequest: { number: 7, created: true } }],
    });
    expect(result.content).toContain('https://forge.example/ada/recipes/pull/7');
  });

  it('tells the model what it wrote wrong, and throws what people must mend', async () => {
    await bench.sh('echo a > a.txt; git add .; git commit -qm first');
    const refusing = (code: 'invalid' | 'forbidden') => ({
      publish: async () => {
        throw new ForgeError(code, 'The title is too long.');
      },
    });
    expect(await bench.call(tools.publish, request, refusing('invalid'))).toMatchObject({
      isError: true,
      content: 'The title is too long.',
    });
    await expect(bench.call(tools.publish, request, refusing('forbidden'))).rejects.toMatchObject({
      name: 'ForgeError',
      code: 'forbidden',
    });
  });
});
