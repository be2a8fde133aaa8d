import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parse } from '#bots/slack/parse.ts';
import { plainText } from '#bots/slack/text.ts';

const self = { team: 'T0ACME', userId: 'U0COMIO', url: 'https://acme.slack.com/' };
const now = new Date('2025-07-01T12:00:00Z');
const folder = new URL('../../fixtures/replay/slack/', import.meta.url);

const replay = async (name: string) =>
  parse(JSON.parse(await readFile(new URL(`${name}.json`, folder), 'utf8')), self, now);

const thread = {
  surface: 'slack',
  key: 'T0ACME/C0DEV/1751371200.123459',
  at: { team: 'T0ACME', channel: 'C0DEV', thread: '1751371200.123459' },
};

describe('what Slack sends', () => {
  it('a mention is an addressed message, cleaned of what Slack made of it', async () => {
    expect(await replay('app-mention')).toEqual({
      id: 'slack:A0COMIO:T0ACME:C0DEV:1751371200.123459',
      conversation: thread,
      author: { id: 'U0ADA', name: 'U0ADA', claims: [] },
      kind: 'message',
      text: 'fix the test in https://github.com/acme/shop & say "done": `a < b`',
      addressed: true,
      sentAt: '2025-07-01T12:00:00.123459Z',
      reactTo: { conversation: thread, at: { channel: 'C0DEV', ts: '1751371200.123459' } },
    });
  });

  it('both events of one mention are the same message', async () => {
    expect(await replay('message-mention')).toEqual(await replay('app-mention'));
  });

  it('a reply belongs to the thread, is not addressed, and its code stays as typed', async () => {
    expect(await replay('message-in-thread')).toMatchObject({
      id: 'slack:A0COMIO:T0ACME:C0DEV:1751371260.000200',
      conversation: thread,
      author: { id: 'U0BOB' },
      addressed: false,
      text: 'and use #ops, ask @ada\n```\nif (a < b) \u201cquoted\u201d\n```',
    });
  });

  it('a direct message is addressed without a mention', async () => {
    expect(await replay('message-direct')).toMatchObject({
      addressed: true,
      text: 'new an API for cooking recipes',
    });
  });

  it('a message with a file, and one that is also sent to the channel, are messages of the thread', async () => {
    const file = await replay('file-share');
    expect(file).toMatchObject({ conversation: thread, addressed: true, text: 'make it look like this' });
    const broadcast = await replay('thread-broadcast');
    expect(broadcast).toMatchObject({ conversation: thread, addressed: false, text: 'everybody look' });
  });

  it('a slash command has no thread yet and nothing to react to', async () => {
    expect(await replay('slash-command')).toEqual({
      id: 'slack:cmd:13345224609.738474920.8088930838d88f008e0',
      conversation: {
        surface: 'slack',
        key: 'T0ACME/C0DEV/command-13345224609.738474920.8088930838d88f008e0',
        at: { team: 'T0ACME', channel: 'C0DEV' },
        rootless: true,
      },
      author: { id: 'U0ADA', name: 'ada', claims: [] },
      kind: 'message',
      text: 'import acme/shop, ask @bob',
      addressed: true,
      explicit: true,
      sentAt: '2025-07-01T12:00:00.000Z',
    });
  });

  it('a press is an action in the thread of its message', async () => {
    expect(await replay('block-actions')).toEqual({
      id: 'slack:act:A0COMIO:T0ACME:C0DEV:1751371205.000100:1751371270.840180:U0ADA',
      conversation: thread,
      author: { id: 'U0ADA', name: 'ada', claims: [] },
      kind: 'action',
      text: '',
      addressed: true,
      sentAt: '2025-07-01T12:01:10.840180Z',
      action: { id: 'stop', value: 'run-7' },
    });
  });

  for (const name of [
    'message-changed',
    'message-deleted',
    'bot-message',
    'own-message',
    'channel-join',
    'url-verification',
  ]) {
    it(`${name} is nobody speaking to us`, async () => {
      expect(await replay(name)).toBeUndefined();
    });
  }

  it('any part of any payload missing is no message, never an exception', async () => {
    for (const name of await readdir(folder)) {
      const body = JSON.parse(await readFile(new URL(name, folder), 'utf8'));
      for (const key of Object.keys(body)) {
        expect(() => parse({ ...body, [key]: undefined }, self, now)).not.toThrow();
        expect(() => parse({ ...body, [key]: 7 }, self, now)).not.toThrow();
      }
    }
    for (const junk of [undefined, null, 7, 'x', [], {}]) expect(parse(junk, self, now)).toBeUndefined();
  });
});

describe('the text a person typed', () => {
  const cases: [wire: string, typed: string][] = [
    ['<@U0COMIO>: stop', 'stop'],
    ['<@U0COMIO|comio>, stop', 'stop'],
    ['could you <@U0COMIO> fix it', 'could you fix it'],
    ['<!channel> <!subteam^S1|@devs> <!here>', '@channel @devs @here'],
    ['<http://github.com/acme/shop|github.com/acme/shop>', 'github.com/acme/shop'],
    ['<https://example.com/a?b=1&amp;c=2|the page>', '[the page](https://example.com/a?b=1&c=2)'],
    ['<mailto:ada@example.com|ada@example.com>', 'ada@example.com'],
    ['&lt;!channel&gt; &amp;lt;', '<!channel> &lt;'],
    ['it\u2019s a \u201ctest\u201d', `it's a "test"`],
    ['`it\u2019s` it\u2019s', "`it\u2019s` it's"],
  ];
  for (const [wire, typed] of cases) {
    it(`${wire} was ${typed}`, () => expect(plainText(wire, 'U0COMIO')).toBe(typed));
  }
});
