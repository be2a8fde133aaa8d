import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Action, type Block, type Card, textCard } from '#core/conversations/card.ts';
import type { Images } from '#core/conversations/images.ts';
import {
  type Inbound,
  type MessageRef,
  type Receive,
  type Surface,
  SurfaceError,
} from '#core/conversations/surface.ts';

/** A message as a person sees it on the local peer. */
export interface SeenMessage {
  /** The platform's own id of the message. */
  id: string;
  /** Everything that is read in it, in any form. */
  text: string;
  byBot: boolean;
  /** Labels, in order. */
  buttons: string[];
  /** Whom the platform would notify or what it would act on because of this text: people, roles, whole channels. */
  notifies: string[];
  /** Names or emojis, as the platform has them; our bot's only. */
  reactions: string[];
  /** What is said about each picture, and its bytes as they arrived. */
  pictures: { alt: string; png: Uint8Array }[];
}

/** Where a person said something: what `sayInThread` and `messages` need to find the place again. */
export interface Said {
  /** The platform's own id of the message. */
  id: string;
  place: unknown;
}

export interface Saying {
  text: string;
  /** With the mention in front, as a person addresses the bot. Default true. */
  mention?: boolean;
  /** Default `operator`: allowed to start runs. `stranger`: a person without any role. */
  by?: 'operator' | 'stranger';
  /** How many times the platform delivers each of its events about it. Default 1. */
  deliver?: number;
}

/** One surface, started, against its local peer, and the people on the other side. */
export interface SurfaceHarness extends AsyncDisposable {
  readonly surface: Surface;
  /** False where the platform has none; the card then tells how to say it. */
  readonly buttons: boolean;
  /** Where there is no conversation with us yet: a channel's root, a new issue. */
  say(what: Saying): Promise<Said>;
  /** In the conversation that `say` began. */
  sayInThread(root: Said, what: Saying): Promise<Said>;
  /** Presses the button with this label on a message of ours. */
  press(root: Said, messageId: string, label: string, deliver?: number): Promise<void>;
  /** All of the conversation, oldest first, the one that began it included. */
  messages(root: Said): Promise<SeenMessage[]>;
  /** Somebody deletes a message of ours. */
  remove(root: Said, messageId: string): Promise<void>;
  /** How many pictures were uploaded so far. Left out where none is: the platform fetches them. */
  uploads?(): number;
  /** From now on no picture can be uploaded. */
  breakUploads?(): void;
  /** From now on whatever `role` has to ask the platform fails. Left out where it asks nothing. */
  breakRoles?(): void;
}

/** `operators`: whether the surface's setting names who may start runs. Whatever the surface hears goes to `receive`. */
export type SurfaceSetup = (options: {
  receive: Receive;
  operators: boolean;
  images: Pick<Images, 'png'>;
}) => Promise<SurfaceHarness>;

const WAIT_MS = 60_000;

/** One pixel each, in two colours. */
const PNGS: Record<string, Uint8Array<ArrayBuffer>> = Object.fromEntries(
  Object.entries({
    '0f3b6a52-1111-4c55-9d0f-000000000001':
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==',
    '0f3b6a52-2222-4c55-9d0f-000000000002':
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  }).map(([id, base64]) => [id, new Uint8Array(Buffer.from(base64, 'base64'))]),
);
const [ONE = '', TWO = ''] = Object.keys(PNGS);
const images: Pick<Images, 'png'> = { png: async (id) => PNGS[id] };
const picture = (id: string, alt: string): Block => ({ type: 'image', id, alt });
const bytes = (id: string): Buffer => Buffer.from(PNGS[id] ?? []);

/** What every surface does, seen from both of its sides. */
export function surfaceContract(name: string, setup: SurfaceSetup): void {
  describe(`${name} as a surface`, () => {
    const heard: Inbound[] = [];
    let harness: SurfaceHarness;
    let count = 0;
    // No name is the beginning of another.
    const unique = (what: string): string => {
      count += 1;
      return `${what} n${count}z`;
    };

    const receive: Receive = async (inbound) => {
      const known = heard.some(({ id }) => id === inbound.id);
      heard.push(inbound);
      return known ? 'duplicate' : 'claimed';
    };
    const waitFor = <T>(find: () => T | undefined) => until(find, () => heard);
    const hearing = (text: string): Promise<Inbound> =>
      waitFor(() => heard.find((inbound) => inbound.text.includes(text)));
    /** What was said last has been heard, so everything before it has. */
    const quiet = async (root: Said): Promise<void> => {
      const text = unique('last word');
      await harness.sayInThread(root, { text });
      await hearing(text);
    };
    const begin = async (): Promise<{ root: Said; inbound: Inbound }> => {
      const text = unique('hello');
      const root = await harness.say({ text });
      return { root, inbound: await hearing(text) };
    };
    const seen = async (root: Said, text: string): Promise<SeenMessage> => {
      const found = (await harness.messages(root)).find(
        (message) => message.byBot && message.text.includes(text),
      );
      if (!found) throw new Error(`nobody sees "${text}"`);
      return found;
    };
    const post = async (inbound: Inbound, card: Card, key: string): Promise<MessageRef> =>
      harness.surface.post(inbound.conversation, card, key);

    beforeAll(async () => {
      harness = await setup({ receive, operators: true, images });
    });
    afterAll(async () => {
      await harness?.[Symbol.asyncDispose]();
    });

    it('is connected once started', () => {
      expect(harness.surface.status().connected).toBe(true);
      expect(harness.surface.status().detail).not.toBe('');
    });

    it('hears a mention as one addressed message without the mention', async () => {
      const before = Date.now();
      const { root, inbound } = await begin();
      await quiet(root);
      expect(inbound).toMatchObject({ kind: 'message', addressed: true });
      expect(inbound.text).toMatch(/hello n\d+z$/);
      expect(inbound.text).not.toContain('@');
      expect(inbound.id).toMatch(new RegExp(`^${harness.surface.name}:`));
      expect(inbound.conversation.surface).toBe(harness.surface.name);
      expect(inbound.author.id).not.toBe('');
      expect(inbound.author.name).not.toBe('');
      // A platform's clock, so only roughly ours.
      expect(Math.abs(Date.parse(inbound.sentAt) - before)).toBeLessThan(86_400_000);
      expect(new Set(heard.filter(({ text }) => text === inbound.text).map(({ id }) => id)).size).toBe(1);
    });

    it('hears three deliveries of a message as the same one', async () => {
      const text = unique('thrice');
      const root = await harness.say({ text, deliver: 3 });
      await hearing(text);
      const reply = unique('thrice in the thread');
      await harness.sayInThread(root, { text: reply, mention: false, deliver: 3 });
      await hearing(reply);
      await quiet(root);
      for (const said of [text, reply]) {
        const deliveries = heard.filter((inbound) => inbound.text.includes(said));
        // Whichever comes first is kept, so every one of them must say the same.
        for (const delivery of deliveries) expect(delivery).toEqual(deliveries[0]);
      }
    });

    it('tells what is said to others from what is said to it, in one conversation', async () => {
      const { root, inbound } = await begin();
      const reply = unique('to somebody else');
      await harness.sayInThread(root, { text: reply, mention: false });
      const answered = await hearing(reply);
      expect(answered.addressed).toBe(false);
      expect(answered.conversation).toEqual(inbound.conversation);
      expect(answered.id).not.toBe(inbound.id);
      const mentioned = unique('to the bot again');
      await harness.sayInThread(root, { text: mentioned });
      expect((await hearing(mentioned)).addressed).toBe(true);
      expect(Date.parse(answered.sentAt)).toBeGreaterThanOrEqual(Date.parse(inbound.sentAt));
    });

    it('keeps conversations apart', async () => {
      const one = await begin();
      const other = await begin();
      expect(other.inbound.conversation.key).not.toBe(one.inbound.conversation.key);
      await post(one.inbound, textCard('Only here', 'neutral'), unique('key'));
      await seen(one.root, 'Only here');
      await expect(seen(other.root, 'Only here')).rejects.toThrow('nobody sees');
    });

    it('does not hear itself', async () => {
      const { root, inbound } = await begin();
      await post(inbound, textCard('My own words', 'neutral', 'come back to me'), unique('key'));
      await quiet(root);
      expect(heard.filter(({ text }) => /own words|back to me/i.test(text))).toEqual([]);
    });

    it('posts, edits and finds a message by its key', async () => {
      const { root, inbound } = await begin();
      const key = unique('run/7:final');
      expect(await harness.surface.find(inbound.conversation, key)).toBeUndefined();
      const ref = await post(inbound, everything('First version'), key);
      expect(ref.conversation.key).toBe(inbound.conversation.key);
      const shown = await seen(root, 'First version');
      for (const word of [
        'bold words',
        'Branch',
        'Running tests',
        '14 passed',
        'const x = 1',
        '+added',
        'Small print',
      ])
        expect(shown.text).toContain(word);
      await post(inbound, textCard('Another', 'neutral'), unique('key'));

      expect((await harness.surface.find(inbound.conversation, key))?.at).toEqual(ref.at);
      await harness.surface.update(ref, textCard('Second version', 'success', 'All *green*.'), key);
      await harness.surface.update(ref, textCard('Second version', 'success', 'All *green*.'), key);
      const edited = await seen(root, 'Second version');
      expect(edited.id).toBe(shown.id);
      expect(edited.text).not.toContain('First version');
      expect(edited.buttons).toEqual([]);
      // An edited message is still found by its key.
      expect((await harness.surface.find(inbound.conversation, key))?.at).toEqual(ref.at);
      expect((await harness.messages(root)).filter(({ byBot }) => byBot)).toHaveLength(2);
    });

    it('shows pictures: the bytes that were kept, in words too, uploaded once over all edits', async () => {
      const { root, inbound } = await begin();
      const key = unique('pictures');
      const card = (title: string, ...blocks: Block[]): Card => ({ ...textCard(title, 'danger'), blocks });
      const shows = async (title: string) =>
        (await seen(root, title)).pictures.map(({ alt, png }) => ({ alt, png: Buffer.from(png) }));
      const before = harness.uploads?.() ?? 0;
      const ref = await post(inbound, card('Slow orders', picture(ONE, 'p95 of orders')), key);
      const one = { alt: 'p95 of orders', png: bytes(ONE) };
      const two = { alt: 'errors of orders', png: bytes(TWO) };
      expect(await shows('Slow orders')).toEqual([one]);
      for (const title of ['Diagnosed', 'Being fixed'])
        await harness.surface.update(ref, card(title, picture(ONE, 'p95 of orders')), key);
      expect(await shows('Being fixed')).toEqual([one]);
      const both = card('Two', picture(ONE, 'p95 of orders'), picture(TWO, 'errors of orders'));
      await harness.surface.update(ref, both, key);
      expect(await shows('Two')).toEqual([one, two]);
      if (harness.uploads) expect(harness.uploads() - before).toBe(2);
      expect((await harness.surface.find(inbound.conversation, key))?.at).toEqual(ref.at);
      await harness.surface.update(ref, textCard('Resolved', 'success'), key);
      expect(await shows('Resolved')).toEqual([]);
    });

    it('tells in words of a picture that is not there', async () => {
      const { root, inbound } = await begin();
      const card = { ...textCard('Lost', 'neutral'), blocks: [picture('nowhere', 'a plot of latency')] };
      await post(inbound, card, unique('lost'));
      const shown = await seen(root, 'Lost');
      // Where the platform fetches it, it shows the words in the picture's place.
      expect(`${shown.text} ${shown.pictures.map(({ alt }) => alt)}`).toContain('a plot of latency');
      expect(shown.pictures.filter(({ png }) => png.length > 0)).toEqual([]);
    });

    it('reacts, and again without a complaint', async () => {
      const { root, inbound } = await begin();
      const to = inbound.reactTo;
      if (!to) throw new Error('a message said in the open can be reacted to');
      await harness.surface.react(to, 'seen');
      const shownReactions = async () => (await harness.messages(root))[0]?.reactions ?? [];
      expect(await shownReactions()).toHaveLength(1);
      await harness.surface.react(to, 'seen');
      expect(await shownReactions()).toHaveLength(1);
      await harness.surface.react(to, 'done');
      const reactions = await shownReactions();
      expect(new Set(reactions).size).toBe(reactions.length);
      expect(reactions).toHaveLength(2);
    });

    it('shows any card, however large and hostile, and notifies nobody by it', async () => {
      const { root, inbound } = await begin();
      const key = unique('hostile');
      const ref = await post(inbound, textCard('Harmless', 'neutral'), key);
      for (const card of hostileCards()) {
        await harness.surface.update(ref, card, key);
        await post(inbound, card, unique('hostile'));
      }
      const messages = (await harness.messages(root)).filter(({ byBot }) => byBot);
      expect(messages).toHaveLength(hostileCards().length + 1);
      for (const message of messages) {
        expect(message.notifies).toEqual([]);
        expect(message.text.trim()).not.toBe('');
      }
    });

    it('says that a deleted message is gone', async () => {
      const { root, inbound } = await begin();
      const key = unique('to be deleted');
      const ref = await post(inbound, textCard('Soon gone', 'neutral'), key);
      await harness.remove(root, (await seen(root, 'Soon gone')).id);
      const failure = await harness.surface
        .update(ref, textCard('Too late', 'neutral'), key)
        .catch((e: unknown) => e);
      expect(failure).toBeInstanceOf(SurfaceError);
      expect((failure as SurfaceError).code).toBe('gone');
      expect(await harness.surface.find(inbound.conversation, key)).toBeUndefined();
    });

    it('turns a press into one action, however often it is delivered; or tells what to write', async () => {
      const { root, inbound } = await begin();
      const value = unique('run-8:stop');
      const stop: Action = { id: 'stop', label: 'Stop', style: 'danger', value };
      await post(
        inbound,
        { ...textCard('Working', 'working', 'Reading files'), actions: [stop] },
        unique('card'),
      );
      const shown = await seen(root, 'Working');
      if (!harness.buttons) {
        expect(shown.text.toLowerCase()).toContain('stop');
        return;
      }
      expect(shown.buttons).toEqual(['Stop']);
      await harness.press(root, shown.id, 'Stop', 3);
      const pressed = await waitFor(() => heard.find((one) => one.action?.value === value));
      expect(pressed).toMatchObject({ kind: 'action', addressed: true, action: { id: 'stop', value } });
      expect(pressed.conversation).toEqual(inbound.conversation);
      expect(pressed.author.id).toBe(inbound.author.id);
      await quiet(root);
      const deliveries = heard.filter((one) => one.action?.value === value);
      for (const delivery of deliveries) expect(delivery).toEqual(pressed);
      await harness.press(root, shown.id, 'Stop');
      await waitFor(() => heard.find((one) => one.action?.value === value && one.id !== pressed.id));
    });

    it('knows who may start runs', async () => {
      const { inbound } = await begin();
      const allowed = await harness.surface.role(inbound.author, inbound.conversation);
      expect(['operator', 'admin']).toContain(allowed.role);
      const text = unique('let me in');
      await harness.say({ text, by: 'stranger' });
      const stranger = await hearing(text);
      expect(stranger.author.id).not.toBe(inbound.author.id);
      const refused = await harness.surface.role(stranger.author, stranger.conversation);
      expect(['none', 'viewer']).toContain(refused.role);
      expect(refused.reason).not.toBe('');
    });
  });

  describe(`${name} when pictures cannot be uploaded`, () => {
    it('tells of them in words and loses no message', async () => {
      const heard: Inbound[] = [];
      await using harness = await setup({ receive: collect(heard), operators: true, images });
      if (!harness.breakUploads) return expect(harness.uploads).toBeUndefined();
      harness.breakUploads();
      const root = await harness.say({ text: 'look' });
      const { conversation } = await until(
        () => heard.find(({ text }) => text.includes('look')),
        () => heard,
      );
      const card = { ...textCard('Slow', 'danger'), blocks: [picture(ONE, 'p95 of orders')] };
      const ref = await harness.surface.post(conversation, card, 'key');
      await harness.surface.update(ref, { ...card, title: 'Still slow' }, 'key');
      const [shown] = (await harness.messages(root)).filter(({ byBot }) => byBot);
      expect(shown).toMatchObject({ pictures: [], text: expect.stringContaining('p95 of orders') });
      expect(shown?.text).toContain('Still slow');
    });
  });

  describe(`${name} when roles cannot be told`, () => {
    it('lets nobody start runs while nothing says who may, and says what to do', async () => {
      const heard: Inbound[] = [];
      await using harness = await setup({ receive: collect(heard), operators: false, images });
      await harness.say({ text: 'may I' });
      const inbound = await until(
        () => heard.find(({ text }) => text.includes('may I')),
        () => heard,
      );
      const { role, reason } = await harness.surface.role(inbound.author, inbound.conversation);
      // GitHub's own write permission needs no setting.
      if (harness.surface.name !== 'github') expect(['none', 'viewer']).toContain(role);
      expect(reason).not.toBe('');
    });

    it('fails closed', async () => {
      const heard: Inbound[] = [];
      await using harness = await setup({ receive: collect(heard), operators: true, images });
      await harness.say({ text: 'may I still' });
      const inbound = await until(
        () => heard.find(({ text }) => text.includes('may I still')),
        () => heard,
      );
      const unknown = { ...inbound.author, id: 'nobody-there', claims: [] };
      const answers = [await roleOrError(harness.surface, unknown, inbound)];
      if (harness.breakRoles) {
        harness.breakRoles();
        answers.push(await roleOrError(harness.surface, { ...inbound.author }, inbound));
      }
      for (const answer of answers) expect(['none', 'viewer', 'error']).toContain(answer);
    });
  });
}

const collect =
  (heard: Inbound[]): Receive =>
  async (inbound) => {
    heard.push(inbound);
    return 'claimed';
  };

async function roleOrError(surface: Surface, person: Inbound['author'], inbound: Inbound): Promise<string> {
  try {
    return (await surface.role(person, inbound.conversation)).role;
  } catch (error) {
    if (error instanceof SurfaceError) return 'error';
    throw error;
  }
}

async function until<T>(find: () => T | undefined, heard: () => readonly Inbound[]): Promise<T> {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const found = find();
    if (found !== undefined) return found;
    if (Date.now() > end)
      throw new Error(
        `it was not heard; heard: ${JSON.stringify(heard().map(({ text, action }) => action ?? text))}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const everything = (title: string): Card => ({
  title,
  tone: 'working',
  blocks: [
    { type: 'markdown', text: 'Some **bold words**, `code` and a [link](https://example.com/a?b=c&d=e).' },
    { type: 'fields', fields: [{ label: 'Branch', value: '`comio/recipes`' }] },
    {
      type: 'plan',
      items: [
        { text: 'Read the code', state: 'done', detail: '3 files' },
        { text: 'Running tests', state: 'running', detail: '14 passed' },
        { text: 'Open a pull request', state: 'pending' },
      ],
    },
    { type: 'code', text: 'const x = 1;', language: 'ts' },
    { type: 'diff', text: '--- a/x\n+++ b/x\n@@ -1 +1 @@\n-removed\n+added' },
    { type: 'links', links: [{ label: 'Pull request', url: 'https://example.com/pull/1' }] },
  ],
  actions: [{ id: 'stop', label: 'Stop', style: 'danger', value: 'run-1' }],
  footer: 'Small print',
});

/** What Slack, Discord and GitHub would act on, in every place a card has. */
export const HOSTILE_TEXT = [
  '<!channel> <!here> <!everyone> <!subteam^S012345|team> <@U012345> <@U012345|ada> <#C012345> <!date^1^{date}|x>',
  '@everyone @here <@123456789012345678> <@!123456789012345678> <@&123456789012345678> @octocat @org/team',
  '**unclosed `code ~~strike [link](javascript:alert(1)) <script>alert(1)</script> &lt;!channel&gt; &amp; </details>',
  '```\nunclosed fence <!channel> @everyone',
  '<!-- comio:marker --> <https://evil.example|https://good.example> |a|b|\n|-|-|\n|<!here>|2|',
  '\u202Egnp.exe \u0000\u0007 \u{1F469}\u200D\u{1F680}',
].join('\n');

function hostileCards(): Card[] {
  const long = (n: number) => `${HOSTILE_TEXT}\n`.repeat(Math.ceil(n / HOSTILE_TEXT.length)).slice(0, n);
  const unbroken = '<!channel>@everyone&<>'.repeat(3000);
  const all: Block[] = [
    { type: 'markdown', text: long(40_000) },
    {
      type: 'fields',
      fields: Array.from({ length: 40 }, (_, i) => ({ label: `${long(300)}${i}`, value: long(3000) })),
    },
    {
      type: 'plan',
      items: Array.from({ length: 120 }, (_, i) => ({
        text: `${i} ${long(300)}`,
        state: (['pending', 'running', 'done', 'failed'] as const)[i % 4] ?? 'done',
        detail: long(500),
      })),
    },
    { type: 'code', text: long(30_000), language: '`<!channel>' },
    { type: 'diff', text: long(60_000) },
    picture(ONE, long(5000)),
    picture(ONE, ''),
    picture('<!channel>@everyone', long(5000)),
    ...Array.from({ length: 12 }, (_, i) => picture(`none-${i}`, long(50))),
    {
      type: 'links',
      links: Array.from({ length: 40 }, (_, i) => ({
        label: long(200),
        url: `https://example.com/?${i}=<!channel>|)]"`,
      })),
    },
  ];
  const actions: Action[] = Array.from({ length: 5 }, (_, i) => ({
    id: `action-${i}`,
    label: long(200),
    style: i % 2 ? 'danger' : 'primary',
    value: `v${i}`.padEnd(80, 'x'),
  }));
  return [
    { title: long(1000), tone: 'danger', blocks: all, actions, footer: long(5000) },
    {
      title: unbroken,
      tone: 'warning',
      blocks: [{ type: 'markdown', text: unbroken }],
      actions: [],
      footer: unbroken,
    },
    {
      title: 'Many',
      tone: 'working',
      blocks: Array.from({ length: 120 }, () => ({ type: 'markdown', text: HOSTILE_TEXT })),
      actions,
    },
    {
      title: 'Fences',
      tone: 'neutral',
      blocks: [
        { type: 'code', text: '```\n'.repeat(2000) },
        { type: 'diff', text: '+```\n'.repeat(9000) },
      ],
      actions: [],
    },
    // Nothing to show is still a message.
    {
      title: 'Empty',
      tone: 'neutral',
      blocks: [
        { type: 'markdown', text: '' },
        { type: 'fields', fields: [] },
        { type: 'plan', items: [] },
        { type: 'links', links: [] },
        { type: 'code', text: '' },
        { type: 'diff', text: '' },
      ],
      actions: [],
      footer: '',
    },
  ];
}
