import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Completion, complete, type ModelMessage, type Provider } from '#adapters/llm/llm.ts';
import { createScripted, scripted } from '#adapters/llm/providers/scripted.ts';
import { requestFor } from '#test/contracts/llm.ts';

const script = {
  scenarios: [
    {
      name: 'fix the tests',
      when: '\\bfix it\\b',
      captures: { tests: '(\\d+) passed', name: 'in (\\w+)' },
      steps: [
        { text: 'Running the tests.', toolCalls: [{ name: 'run', input: { command: 'npm test' } }] },
        {
          toolCalls: [{ name: 'edit', input: { path: 'a.js', lines: ['// {{name}}'] } }],
          variants: [
            { when: { lastToolIsError: true }, text: 'The tests cannot run.' },
            { when: { lastToolMatches: '0 failed' }, text: 'Nothing to fix: {{tests}} passed.' },
          ],
        },
        { toolCalls: [{ name: 'run', input: { command: 'npm test' } }] },
      ],
      steering: [
        { pattern: 'empty list', steps: [{ toolCalls: [{ name: 'edit', input: { path: 'a.test.js' } }] }] },
      ],
      final: 'Fixed {{name}}, {{tests}} tests pass.',
    },
    { name: 'greeting', when: '^hello', steps: [{ text: 'Hi.' }], final: 'Bye.' },
  ],
};

const user = (content: string): ModelMessage => ({ role: 'user', content });
const result = (content: string, isError = false): ModelMessage => ({
  role: 'tool',
  toolCallId: 'x',
  toolName: 'run',
  content,
  isError,
});
const said = ({ text, toolCalls }: Pick<Completion, 'text' | 'toolCalls'>): ModelMessage => ({
  role: 'assistant',
  content: text,
  toolCalls,
});
const ask = (messages: readonly ModelMessage[], provider: Provider = createScripted(script)) =>
  complete(provider, requestFor('scripted', messages));

/** Plays on from the messages; a fresh provider for every call, as after a crash. */
async function play(messages: ModelMessage[], ...outcomes: ModelMessage[][]): Promise<Completion> {
  let answer = await ask(messages);
  for (const outcome of outcomes) {
    messages.push(said(answer), ...outcome);
    answer = await ask(messages);
  }
  return answer;
}

test('plays the steps one answer after the other and ends with the final text', async () => {
  const edit = await play([user('Please fix it in parser')], [result('1 failed, 3 passed')]);
  expect(edit.toolCalls).toMatchObject([{ name: 'edit', input: { path: 'a.js', lines: ['// parser'] } }]);
  const final = await play(
    [user('fix it in parser')],
    [result('1 failed')],
    [result('edited')],
    [result('4 passed')],
  );
  expect(final).toMatchObject({ text: 'Fixed parser, 4 tests pass.', toolCalls: [], stop: 'end' });
});

test('gives the same answer with the same ids to the same messages', async () => {
  const messages = [user('fix it in parser')];
  expect(await ask(messages)).toEqual(await ask(messages));
});

test('a step may depend on the last tool result', async () => {
  const fine = await play([user('fix it in parser')], [result('0 failed, 7 passed')]);
  expect(fine).toMatchObject({ text: 'Nothing to fix: 7 passed.', toolCalls: [] });
  const broken = await play([user('fix it in parser')], [result('no such file', true)]);
  expect(broken.text).toBe('The tests cannot run.');
});

test('a steering message puts its steps next, and the plan goes on after them', async () => {
  const messages = [user('fix it in parser')];
  const steered = await play(messages, [result('1 failed'), user('Ann: and mind the empty list')]);
  expect(steered.toolCalls).toMatchObject([{ name: 'edit', input: { path: 'a.test.js' } }]);
  messages.push(said(steered), result('edited'));
  expect((await ask(messages)).toolCalls).toMatchObject([{ name: 'edit', input: { path: 'a.js' } }]);
});

test('a message that means nothing to the script changes nothing', async () => {
  const answer = await play([user('fix it in parser')], [result('1 failed'), user('how is it going?')]);
  expect(answer.toolCalls).toMatchObject([{ name: 'edit', input: { path: 'a.js' } }]);
});

test('a later request starts its own scenario', async () => {
  const messages = [user('hello'), said({ text: 'Hi.', toolCalls: [] }), user('fix it in parser')];
  expect((await ask(messages)).toolCalls).toMatchObject([{ name: 'run' }]);
});

test('an unknown request is answered with what is known', async () => {
  const { text } = await ask([user('write a poem')]);
  expect(text).toContain('no such request');
  expect(text).toContain('“fix the tests”, “greeting”');
});

test('a placeholder without a value is an error, not a wrong text', async () => {
  await expect(
    play([user('fix it in parser')], [result('')], [result('')], [result('')]),
  ).rejects.toMatchObject({
    code: 'bad_request',
    message: expect.stringContaining('{{tests}}'),
  });
});

test.each([
  [
    'an unknown field',
    { scenarios: [{ name: 'a', when: 'a', steps: [{ txt: 'x' }] }] },
    'scenarios[0].steps[0]',
  ],
  ['a bad pattern', { scenarios: [{ name: 'a', when: '(', steps: [{ text: 'x' }] }] }, 'scenarios[0].when'],
  ['an unknown placeholder', { scenarios: [{ name: 'a', when: 'a', steps: [{ text: '{{b}}' }] }] }, '{{b}}'],
  ['no scenario', { scenarios: [] }, 'scenarios'],
])('a script with %s is refused with the place', (_, wrong, place) => {
  expect(() => createScripted(wrong)).toThrow(
    expect.objectContaining({ code: 'bad_request', message: expect.stringContaining(place) }),
  );
});

test('LLM_SCRIPT names the file', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'script-'));
  try {
    const path = join(directory, 'script.json');
    await writeFile(path, JSON.stringify(script));
    expect((await ask([user('hello')], scripted.create({ LLM_SCRIPT: path }))).text).toBe('Hi.');
    await writeFile(path, '{');
    expect(() => scripted.create({ LLM_SCRIPT: path })).toThrow(
      expect.objectContaining({ code: 'bad_request' }),
    );
  } finally {
    await rm(directory, { recursive: true });
  }
});
