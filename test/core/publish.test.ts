import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGitHubForge } from '#adapters/forge/github.ts';
import { createGitHubPeer, type GitHubPeer } from '../peers/github.ts';
import { testComio } from '../support/comio.ts';
import type { Shown } from '../support/memory-surface.ts';
import { silentLog } from '../support/silent-log.ts';

const call = (name: string, input: unknown) => ({ toolCalls: [{ name, input }] });
const test = (name: string) => `import { test } from 'node:test';\ntest('${name}', () => {});\n`;

const script = {
  scenarios: [
    {
      name: 'greet',
      when: 'greeting',
      steps: [
        call('create_file', { path: 'hello.test.mjs', content: test('hello') }),
        call('run_command', { command: 'node --test' }),
        call('git_commit', { message: 'Say hello' }),
        call('publish', { title: 'Greetings', body: 'It greets.' }),
      ],
      final: 'It greets now.',
    },
    {
      name: 'leave',
      when: 'farewell',
      steps: [
        call('create_file', { path: 'bye.test.mjs', content: test('bye') }),
        call('run_command', { command: 'node --test' }),
        call('git_commit', { message: 'Say goodbye' }),
        call('publish', { title: 'Farewell', body: 'It says goodbye.' }),
      ],
      final: 'It says goodbye now.',
    },
  ],
};

const finals = (shown: readonly Shown[]) => shown.filter(({ key }) => key.startsWith('final:'));
const textOf = ({ card }: Shown) => `${card.title}\n${JSON.stringify(card.blocks)}`;

describe('publishing', () => {
  let github: GitHubPeer;
  beforeAll(async () => {
    github = await createGitHubPeer();
  });
  afterAll(() => github[Symbol.asyncDispose]());

  const forgeOf = () => createGitHubForge({ ...github.env, GITHUB_TOKEN: undefined }, silentLog);

  it('gives a project born in chat a repository, then pull requests, and takes a published turn back by a commit', async () => {
    await using world = await testComio({ script, forge: forgeOf() });
    const { chat } = world;
    await chat.say('new a greeting service');
    const made = await chat.until((shown) => finals(shown)[0]);
    expect(textOf(made)).toContain('acme/greeting-service');
    const on = { owner: github.org, repo: 'greeting-service' };
    expect((await github.branches(on)).map(({ name }) => name)).toEqual(['main']);
    expect(await github.pullRequests(on)).toEqual([]);

    await chat.say('edit add a farewell');
    const changed = await chat.until((shown) => finals(shown)[1]);
    const [pull, ...more] = await github.pullRequests(on);
    expect(more).toEqual([]);
    expect(pull).toMatchObject({ state: 'open', title: 'Farewell', base: { branch: 'main' } });
    expect(textOf(changed)).toContain(`#${pull?.number}`);
    const number = pull?.number ?? 0;
    expect((await github.pullRequestFiles({ ...on, number })).map(({ filename }) => filename)).toEqual([
      'bye.test.mjs',
    ]);

    await chat.say('undo confirm');
    const preview = await chat.until((shown) => finals(shown)[2]);
    expect(preview.card.actions.map(({ id }) => id)).toContain('undo-confirm');
    await chat.say('undo confirm');
    await chat.until((shown) => finals(shown)[3]);
    const [after] = await github.pullRequests(on);
    expect(after?.head.sha).not.toBe(pull?.head.sha);
    expect(await github.pullRequestFiles({ ...on, number })).toEqual([]);
  });

  it('works on an imported repository on a branch of its own', async () => {
    const on = { owner: github.org, repo: 'imported' };
    await github.createRepository({ owner: on.owner, name: on.repo, files: { 'README.md': '# Imported\n' } });
    await using world = await testComio({ script, forge: forgeOf() });
    const { chat } = world;
    await chat.say(`import ${on.owner}/${on.repo} and add a greeting`);
    await chat.until((shown) => finals(shown)[0]);
    const [pull] = await github.pullRequests(on);
    expect(pull?.head.branch).toMatch(/^comio\//);
    expect(pull?.base.branch).toBe('main');
  });

  it('says what is wrong with a repository it cannot see', async () => {
    await using world = await testComio({ script, forge: forgeOf() });
    await world.chat.say('import acme/nowhere');
    const reply = await world.chat.until((shown) => shown.find(({ key }) => key.startsWith('reply:')));
    expect(textOf(reply)).toContain('acme/nowhere');
  });
});
