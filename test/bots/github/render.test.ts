import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fence, plain, safeMarkdown } from '#adapters/forge/github-markdown.ts';
import { hasKey, MAX_COMMENT, renderCard } from '#bots/github/render.ts';
import { type Block, type Card, textCard } from '#core/conversations/card.ts';
import { HOSTILE_TEXT } from '../../contracts/surface.ts';
import { read } from './gfm.ts';

const KEY = 'run/7:final';
const OPTIONS = { name: 'comio', imageUrl: () => undefined };
const show = (card: Card) => renderCard(card, KEY, OPTIONS);
const blockCard = (...blocks: Block[]): Card => ({ ...textCard('Title', 'neutral'), blocks });

/** Tags we write ourselves, in the order in which they may come. */
const OURS =
  /^(?:<!-- comio:\S+ -->|<details>\n<summary>Diff, \+\d+ −\d+<\/summary>|<\/details>|<sub>|<\/sub>)$/;

const fragments = fc.constantFrom(
  ...[
    '@ada',
    '@org/team',
    '`',
    '``',
    '```',
    '~~~',
    '\n',
    '\n\n',
    '    ',
    '  ',
    '> ',
    '- ',
    '1. ',
    '|',
    '\\',
    '<',
    '>',
  ],
  ...[
    '<b>',
    '</details>',
    '<!--',
    '-->',
    '<!-- comio:run%2F7:final -->',
    '![x](http://e.example/p.png)',
    '![',
    '](',
  ],
  ...[
    'https://e.example/@ada',
    '[a]: http://e.example',
    '[x](<',
    '&lt;',
    '* ',
    '# ',
    '***',
    '| - |',
    '\t',
    '~',
    '_',
  ],
  ...[
    '![x][a]',
    '&commat;',
    '&#64;',
    '@&#97;da',
    'ada.b',
    '@ada.b',
    '_@ada.b_',
    '<script>',
    '<a href="',
    '"',
    "'",
    ')',
    'word',
    ' ',
    '\r\n',
    '\u200b',
    '\u202e',
    '[^1]',
    '[^1]: ',
  ],
);
/** Text built to break out: what means something, in any order. */
const hostile = fc
  .array(fc.oneof({ weight: 5, arbitrary: fragments }, fc.string({ maxLength: 4 })), { maxLength: 60 })
  .map((parts) => parts.join(''));

const block: fc.Arbitrary<Block> = fc.oneof(
  hostile.map((text): Block => ({ type: 'markdown', text })),
  hostile.map((text): Block => ({ type: 'quote', text })),
  fc
    .array(fc.record({ label: hostile, value: hostile }), { maxLength: 4 })
    .map((fields): Block => ({ type: 'fields', fields })),
  fc
    .array(
      fc.record({
        text: hostile,
        state: fc.constantFrom('pending' as const, 'running' as const, 'done' as const, 'failed' as const),
        detail: fc.option(hostile, { nil: undefined }),
      }),
      { maxLength: 4 },
    )
    .map((items): Block => ({ type: 'plan', items })),
  fc.record({ text: hostile, language: hostile }).map((code): Block => ({ type: 'code', ...code })),
  hostile.map((text): Block => ({ type: 'diff', text })),
  fc
    .array(
      fc.record({
        label: hostile,
        url: fc.oneof(
          hostile,
          hostile.map((path) => `https://e.example/${path}`),
        ),
      }),
      {
        maxLength: 3,
      },
    )
    .map((links): Block => ({ type: 'links', links })),
);
const card: fc.Arbitrary<Card> = fc.record({
  title: hostile,
  tone: fc.constantFrom('neutral', 'working', 'success', 'warning', 'danger'),
  blocks: fc.array(block, { maxLength: 6 }),
  actions: fc.array(
    fc.record({ id: hostile, label: hostile, style: fc.constant('default' as const), value: hostile }),
    { maxLength: 5 },
  ),
  footer: fc.option(hostile, { nil: undefined }),
});

describe('any card', () => {
  it('notifies nobody, loads nothing, and contains no HTML but ours, by the reference parser', () => {
    fc.assert(
      fc.property(card, (any) => {
        const body = show(any);
        const { html, images, mentions } = read(body);
        expect({
          mentions,
          images,
          foreign: html.flatMap(pieces).filter((tag) => !OURS.test(tag)),
          body,
        }).toEqual({
          mentions: [],
          images: [],
          foreign: [],
          body,
        });
        const tags = html.flatMap(pieces);
        const opened = tags.filter((tag) => tag.startsWith('<details>')).length;
        expect(tags.filter((tag) => tag === '</details>')).toHaveLength(opened);
        expect(hasKey(body, KEY)).toBe(true);
        expect(body.length).toBeLessThanOrEqual(MAX_COMMENT);
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    '_@ada.b_',
    '__@ada.b__',
    'x _@ada.b_ y',
    '&#64;ada',
    '&#x40;ada',
    '&commat;ada',
    '@&#97;da',
    '@&fjlig;',
  ])('notifies nobody by %s', (text) => {
    expect(read(safeMarkdown(text)).mentions).toEqual([]);
    expect(
      read(show(blockCard({ type: 'fields', fields: [{ label: text, value: text }] }))).mentions,
    ).toEqual([]);
  });

  it('fits, however long, and says how much was cut', () => {
    const long = HOSTILE_TEXT.repeat(600);
    const body = show({
      title: long,
      tone: 'danger',
      blocks: [
        { type: 'markdown', text: long },
        { type: 'diff', text: '+```\n'.repeat(60_000) },
        { type: 'code', text: 'x'.repeat(200_000) },
        { type: 'markdown', text: 'A short one stays whole.' },
      ],
      actions: [],
      footer: long,
    });
    expect(body.length).toBeLessThanOrEqual(MAX_COMMENT);
    expect(body.length).toBeGreaterThan(MAX_COMMENT * 0.9);
    expect(body).toContain('A short one stays whole.');
    expect(body).toMatch(/_… [\d,]+ more lines not shown_/);
    expect(body).toMatch(/_… [\d,]+ more characters not shown_/);
    const { html, mentions } = read(body);
    expect(mentions).toEqual([]);
    expect(html.flatMap(pieces).filter((tag) => !OURS.test(tag))).toEqual([]);
  });

  it('keeps the newest steps of a long plan', () => {
    const items = Array.from({ length: 3000 }, (_, index) => ({
      text: `Step ${index} with words`,
      state: 'done' as const,
      detail: 'x'.repeat(60),
    }));
    const body = show(blockCard({ type: 'plan', items }));
    expect(body).toContain('Step 2999 ');
    expect(body).not.toContain('Step 0 ');
    expect(body).toMatch(/[\d,]+ earlier steps not shown/);
  });
});

describe('a card', () => {
  it('shows a plan as a task list', () => {
    const body = show(
      blockCard({
        type: 'plan',
        items: [
          { text: 'Read the code', state: 'done', detail: '3 files' },
          { text: 'Running tests', state: 'running' },
          { text: 'Lint', state: 'failed' },
          { text: 'Open a pull request', state: 'pending' },
        ],
      }),
    );
    expect(body).toContain(
      '- [x] Read the code — 3 files\n- [ ] ⏳ Running tests\n- [ ] ❌ Lint\n- [ ] Open a pull request',
    );
    expect(read(body).checked).toEqual([true, false, false, false]);
  });

  it('collapses a diff in a fence that its content cannot end', () => {
    const text = '--- a/x.md\n+++ b/x.md\n@@ -1 +1,2 @@\n-```\n+````js\n+```';
    const body = show(blockCard({ type: 'diff', text }));
    expect(body).toContain('<details>\n<summary>Diff, +2 −1</summary>');
    expect(body).toContain('`````diff\n');
    expect(read(body).code).toEqual([text]);
  });

  it('says what to write where others have buttons', () => {
    const action = { label: 'Stop', style: 'danger' as const, value: 'run-1' };
    const body = show({
      ...textCard('Working', 'working'),
      actions: [
        { ...action, id: 'stop' },
        { ...action, id: 'undo-confirm', label: 'Undo' },
      ],
    });
    expect(body).toContain('**Stop**: write `/comio stop`\n**Undo**: write `/comio undo confirm`');
  });

  it('is found by its own key only', () => {
    const body = show(textCard('Done', 'success', `<!-- comio:other -->`));
    expect(body).toMatch(/^<!-- comio:run%2F7%3Afinal -->\n### ✅ Done/);
    expect(hasKey(body, 'run/7')).toBe(false);
    expect(hasKey(body, 'other')).toBe(false);
    const odd = 'a-->b--c <x>';
    expect(hasKey(renderCard(textCard('T', 'neutral'), odd, OPTIONS), odd)).toBe(true);
    expect(read(renderCard(textCard('T', 'neutral'), odd, OPTIONS)).text).toBe('T');
  });

  it('links to web pages only', () => {
    const body = show(
      blockCard({
        type: 'links',
        links: [
          { label: 'Pull request', url: 'https://example.com/pull/1?a=(b)' },
          { label: 'Evil', url: 'javascript:alert(1)' },
        ],
      }),
    );
    expect(read(body).links).toEqual(['https://example.com/pull/1?a=%28b%29']);
  });
});

describe('Markdown of others', () => {
  it('keeps code as it was written', () => {
    const text =
      'Run `npm i @octokit/core` or `Array<string>`:\n\n1. First\n   ```sh\n   npx @x/y <z>\n   ```\n2. Then';
    const { code, mentions, html } = read(safeMarkdown(text));
    expect(safeMarkdown(text)).toContain('`npm i @octokit/core` or `Array<string>`');
    expect(code).toEqual(['npx @x/y <z>']);
    expect([mentions, html]).toEqual([[], []]);
  });

  it('keeps emphasis, lists, tables and links', () => {
    const text =
      '**bold** _it_ [a](https://e.example/b?c=1&d=2)\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |';
    expect(safeMarkdown(text)).toBe(text);
  });

  it('keeps an address with an @ working, and e-mail addresses readable', () => {
    const safe = safeMarkdown('https://www.npmjs.com/package/@octokit/core and ada@example.com');
    expect(read(safe).links[0]).toBe('https://www.npmjs.com/package/%40octokit/core');
    expect(safe).toContain('ada@example.com');
  });

  it('closes what was left open and drops what nobody sees', () => {
    expect(safeMarkdown('```js\nx')).toBe('```js\nx\n```');
    expect(safeMarkdown('a\u202eb\u0000c')).toBe('abc');
    expect(fence('a\n```\nb')).toBe('````\na\n```\nb\n````');
  });

  it('shows plain text as it is written', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z@<>*_`[\]()!|~ ]{1,40}$/), (text) => {
        const seen = read(`x ${plain(text)}`).text.replaceAll('\u200b', '');
        expect(seen.replace(/\s+/g, ' ').trim()).toBe(`x ${text}`.replace(/\s+/g, ' ').trim());
      }),
    );
  });
});

/** Raw HTML comes as whole blocks or as single tags. */
const pieces = (html: string): string[] =>
  html
    .replace(/(<details>\n<summary>[^<]*<\/summary>)/, '$1\u0000')
    .replace(/(<!-- comio:\S+ -->)/, '$1\u0000')
    .split('\u0000')
    .map((piece) => piece.trim())
    .filter((piece) => piece !== '');

describe('what has no button in a comment', () => {
  const value = '3f2a1b0c-94a1-4f0e-8d5b-0123456789ab';
  const action = (id: string, label: string) => ({ id, label, style: 'default' as const, value });

  it('is written: questions by the number on their card, feedback by what it is about', () => {
    const card = {
      ...textCard('Deploy?', 'warning'),
      actions: [action('approval-approve', 'Approve'), action('approval-reject', 'Reject')],
    };
    expect(show(card)).toContain('**Approve**: write `/comio approve 3f2a1b0c`');
    expect(show(card)).toContain('**Reject**: write `/comio reject 3f2a1b0c`');
    const thumbs = { ...card, actions: [action('feedback-up', '👍'), action('feedback-down', '👎')] };
    expect(show(thumbs)).toContain(`**👍**: write \`/comio feedback up ${value}\``);
    expect(show(thumbs)).toContain(`**👎**: write \`/comio feedback down ${value}\``);
  });
});

describe('a picture', () => {
  const card = blockCard({ type: 'image', id: 'abc', alt: 'Requests [per](x) second @ada' });
  const reachable = { ...OPTIONS, imageUrl: (id: string) => `https://comio.example/images/${id}.png` };

  it('is fetched from where others reach us', () => {
    const [, image = ''] =
      /!\[(.*)\]\(<https:\/\/comio\.example\/images\/abc\.png>\)/.exec(renderCard(card, KEY, reachable)) ??
      [];
    expect(image).toContain('per\\]');
    expect(image).not.toMatch(/(?<!\u200b)@ada/);
  });

  it('is told in words where nobody reaches us', () => {
    expect(show(card)).not.toContain('![');
    expect(read(show(card)).text).toContain('Requests [per](x) second');
  });
});
