import type { MemorySurface } from '#test/support/memory-surface.ts';

const create = { name: 'create_file', input: { path: 'hello.txt', content: 'hello\n' } };

/** A model that writes one file and is done. */
export const greeting = {
  scenarios: [{ name: 'build', when: 'greeting', steps: [{ toolCalls: [create] }], final: 'It greets now.' }],
};

/** Somebody asks for it and it is done, the reaction included. */
export async function worked(chat: MemorySurface): Promise<void> {
  const id = await chat.say('new a greeting service');
  await chat.until(() => chat.reactions.some(({ to, reaction }) => to === id && reaction === 'done'));
  await chat.until((shown) => shown.some(({ key }) => key.startsWith('final:')));
}
