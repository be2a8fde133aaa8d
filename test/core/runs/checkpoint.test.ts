import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { Sandbox } from '#sandbox/sandbox.ts';
import { testComio } from '../../support/comio.ts';

const script = {
  scenarios: [
    {
      name: 'build',
      when: 'greeting',
      steps: [{ toolCalls: [{ name: 'create_file', input: { path: 'hello.txt', content: 'hello\n' } }] }],
      final: 'It greets now.',
    },
  ],
};

it('lets no tool touch a file before the turn’s checkpoint is there, however long it takes', async () => {
  const done: string[] = [];
  const slowCheckpoints = (sandbox: Sandbox): Sandbox => ({
    ...sandbox,
    async pipe(argv, options) {
      const ours = argv.includes('commit-tree');
      if (ours) await setTimeout(500);
      const result = await sandbox.pipe(argv, options);
      if (ours) done.push('checkpoint');
      return result;
    },
    files: {
      ...sandbox.files,
      async write(path, content) {
        done.push(`write ${path}`);
        await sandbox.files.write(path, content);
      },
    },
  });
  await using world = await testComio({ script, wrap: slowCheckpoints });
  await world.chat.say('new a greeting service');
  await world.chat.until((shown) => shown.find(({ key }) => key.startsWith('final:')));
  expect(done.slice(0, 2)).toEqual(['checkpoint', 'write hello.txt']);
});
