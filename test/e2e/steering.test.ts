import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createServiceWorld, type ServiceWorld } from '../support/service-world.ts';

const call = (name: string, input: unknown) => ({ toolCalls: [{ name, input }] });
/** Works until a test says "on": nothing here waits for a clock. */
const untilTold = (file: string) => `touch /tmp/waits; until [ -e /tmp/${file} ]; do sleep 0.1; done`;

const script = {
  scenarios: [
    {
      name: 'a greeting',
      when: 'greeting',
      steps: [
        call('create_file', { path: 'hello.txt', content: 'hello\n' }),
        call('run_command', { command: untilTold('go') }),
      ],
      steering: [
        { pattern: 'politely', steps: [call('create_file', { path: 'polite.txt', content: 'please\n' })] },
      ],
      final: 'It greets.',
    },
    {
      name: 'forever',
      when: 'forever',
      steps: [
        call('create_file', { path: 'kept.txt', content: 'kept\n' }),
        call('run_command', { command: untilTold('never') }),
        call('create_file', { path: 'after.txt', content: 'never\n' }),
      ],
    },
  ],
};

let world: ServiceWorld;
beforeAll(async () => {
  world = await createServiceWorld({ script });
});
afterAll(() => world?.[Symbol.asyncDispose]());

/** The sandbox that was made last, once its command waits. */
async function waitingSandbox(thread: string) {
  const live = await world.answer(thread, (text) => text.includes('/tmp/waits') && text.includes('[Stop]'));
  const sandbox = await world.driver.open(world.sandboxes().at(-1) ?? '');
  if (!sandbox) throw new Error('the sandbox is gone');
  return { live, sandbox };
}

const say = (text: string, thread?: string, user = 'ada') => world.slack.say({ user, text, thread });

describe('people and a run, in Slack', { timeout: 600_000 }, () => {
  it('applies what is said meanwhile, and says so', async () => {
    const ts = await say('@comio new a greeting');
    const { sandbox } = await waitingSandbox(ts);
    const word = await say('please greet politely', ts);
    await world.slack.until(async () => (await world.slack.reactions(word)).includes('eyes'));
    await sandbox.exec('touch /tmp/go');
    const final = await world.answer(ts, (text) => text.includes('It greets.'));
    expect(final.text).toContain('polite.txt');
    await world.answer(ts, (text) => text.includes("Applied ada's message: please greet politely"));
    await world.slack.until(async () => (await world.slack.reactions(word)).includes('white_check_mark'));
  });

  it.each([
    ['the button', (_thread: string, ts: string) => world.slack.press({ ts, user: 'ada', actionId: 'stop' })],
    ['the word', (thread: string) => say('stop', thread)],
  ])('stops at %s and keeps the work', async (_, stop) => {
    const ts = await say('@comio new forever');
    const { live, sandbox } = await waitingSandbox(ts);
    await stop(ts, live.ts);
    const final = await world.answer(ts, (text) => text.includes('Stopped by ada'));
    expect(final.text).toContain('kept.txt');
    expect((await sandbox.exec('cat kept.txt; ls after.txt')).output).toMatch(/^kept\n.*No such file/);
    expect((await sandbox.exec('pgrep -f /tmp/neve[r] || echo none')).output.trim()).toBe('none');
    await world.slack.until(async () => (await world.read(ts)).every(({ text }) => !text.includes('[Stop]')));
  });

  it('refuses kindly who is no operator, and starts nothing', async () => {
    const before = world.sandboxes().length;
    const ts = await say('@comio new a greeting', undefined, 'bob');
    const { text } = await world.answer(ts, () => true);
    expect(text).toContain('Sorry bob, I may not do this for you');
    expect(await world.read(ts)).toHaveLength(1);
    expect(world.sandboxes()).toHaveLength(before);
  });

  it('answers help to everybody, status to operators, and a verb with a slip', async () => {
    const help = await world.answer(await say('@comio help', undefined, 'bob'), () => true);
    for (const verb of ['new', 'import', 'ask', 'edit', 'fix', 'status', 'stop', 'undo', 'help'])
      expect(help.text).toContain(`${verb}`);
    const status = await world.answer(await say('@comio status'), () => true);
    expect(status.text).toContain('Nothing has been started here');
    const slip = await world.answer(await say('@comio stauts'), () => true);
    expect(slip.text).toMatch(/Did you mean `status`\?/);
  });
});
