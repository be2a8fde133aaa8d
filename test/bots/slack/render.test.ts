import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderCard } from '#bots/slack/render.ts';
import type { Action, Block, Card } from '#core/conversations/card.ts';
import { HOSTILE_TEXT } from '#test/contracts/surface.ts';
import { blockProblems, isTooLong, notifiedBy, readable, textsOf } from '#test/peers/slack-blocks.ts';

const card = (blocks: Block[], more: Partial<Card> = {}): Card => ({
  title: 'Run',
  tone: 'neutral',
  blocks,
  actions: [],
  ...more,
});
const markdown = (text: string): string => {
  const [, block] = renderCard(card([{ type: 'markdown', text }])).blocks;
  return block?.type === 'section' ? (block.text?.text ?? '') : '';
};

describe('Markdown as Slack shows it', () => {
  const cases: [github: string, slack: string][] = [
    ['**bold** *it* _it_ ***both*** ~~gone~~', '*bold* _it_ _it_ *_both_* ~gone~'],
    ['# Title', '*Title*'],
    ['snake_case_name and 2 * 3 * 4', 'snake_case_name and 2 * 3 * 4'],
    ['`a < b && *c*`', '`a &lt; b &amp;&amp; *c*`'],
    ['[the **docs**](https://e.com/?a=1&b=2)', '<https://e.com/?a=1&amp;b=2|the **docs**>'],
    ['see https://e.com/x.', 'see <https://e.com/x>.'],
    ['<https://e.com>', '<https://e.com/>'],
    ['[x](javascript:alert(1))', '[x](javascript:alert(1))'],
    ['![shot](https://e.com/s.png)', '<https://e.com/s.png|shot>'],
    ['- [x] done\n- [ ] open\n  - deep\n* star', '☑ done\n☐ open\n  • deep\n• star'],
    ['1. one\n2. two', '1. one\n2. two'],
    ['> quoted', '> quoted'],
    ['a\n\n---\n\nb', 'a\n\n───\n\nb'],
    ['| a | b |\n|---|---|\n| 1 | 2 |', '```\n| a | b |\n|---|---|\n| 1 | 2 |\n```'],
    ['```ts\nif (a < b) {}\n```\nafter', '```\nif (a &lt; b) {}\n```\nafter'],
    ['before\n```\nnever closed', 'before\n```\nnever closed\n```'],
    ['a <!-- comio:marker --> b', 'a  b'],
    ['<!channel> <@U012345> @everyone', '&lt;!channel&gt; &lt;@U012345&gt; @everyone'],
    ['\\*not bold\\*', '*not bold*'],
  ];
  for (const [github, slack] of cases) it(JSON.stringify(github), () => expect(markdown(github)).toBe(slack));
});

describe('a card', () => {
  it('has its title, body, buttons and small print in this order', () => {
    const { text, blocks } = renderCard(
      card(
        [
          {
            type: 'plan',
            items: [
              { text: 'Read the code', state: 'done', detail: '3 files' },
              { text: 'Running tests', state: 'running' },
            ],
          },
          { type: 'links', links: [{ label: 'Pull request', url: 'https://github.com/acme/shop/pull/1' }] },
        ],
        {
          tone: 'working',
          actions: [{ id: 'stop', label: 'Stop', style: 'danger', value: 'run-7' }],
          footer: '2 min',
        },
      ),
    );
    expect(text).toBe('Run: ⏳ Running tests');
    expect(blocks).toEqual([
      { type: 'header', text: { type: 'plain_text', text: '⏳ Run', emoji: true } },
      {
        type: 'section',
        text: { type: 'mrkdwn', verbatim: true, text: '✅ Read the code\n      3 files\n⏳ Running tests' },
      },
      {
        type: 'section',
        text: { type: 'mrkdwn', verbatim: true, text: '<https://github.com/acme/shop/pull/1|Pull request>' },
      },
      {
        type: 'actions',
        elements: [
          {
            type: 'button',
            action_id: 'stop#0',
            style: 'danger',
            value: 'run-7',
            text: { type: 'plain_text', text: 'Stop', emoji: true },
          },
        ],
      },
      { type: 'context', elements: [{ type: 'mrkdwn', verbatim: true, text: '2 min' }] },
    ]);
  });

  it('says how much of a long diff was cut, and keeps its beginning', () => {
    const lines = Array.from({ length: 900 }, (_, i) => `+line ${i} of the change`);
    const shown = readable(renderCard(card([{ type: 'diff', text: lines.join('\n') }])));
    expect(shown).toContain('+line 0 of');
    const kept = shown.split('\n').filter((line) => line.startsWith('+')).length;
    expect(shown).toContain(`… ${900 - kept} more lines of the diff not shown`);
  });

  it('keeps the newest steps of a long plan and counts the earlier ones', () => {
    const items = Array.from({ length: 60 }, (_, i) => ({ text: `step ${i}.`, state: 'done' as const }));
    const shown = readable(renderCard(card([{ type: 'plan', items }])));
    expect(shown).toContain('35 earlier steps');
    expect(shown).toContain('step 59.');
    expect(shown).not.toContain('step 34.');
  });

  it('counts what there is no room for at all', () => {
    const blocks = Array.from({ length: 120 }, (_, i): Block => ({ type: 'markdown', text: `part ${i}` }));
    const rendered = renderCard(card(blocks));
    expect(rendered.blocks).toHaveLength(50);
    expect(readable(rendered)).toContain('72 more parts are too long to show here.');
  });
});

const text = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 200 }) },
  {
    weight: 3,
    arbitrary: fc
      .array(
        fc.constantFrom(
          ...HOSTILE_TEXT.split(/(?<=[\s<>`*_~|])/),
          '```',
          '**',
          '[x](',
          '&',
          '<',
          '>',
          '\n',
          '😀',
        ),
        { maxLength: 400 },
      )
      .map((parts) => parts.join('')),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.constantFrom('<!channel>', '&', '`', '```\n', '*_', 'a', '😀', '\n', '[a](https://e.com/'),
        fc.nat(20_000),
      )
      .map(([unit, n]) => unit.repeat(Math.ceil(n / unit.length))),
  },
);
const block: fc.Arbitrary<Block> = fc.oneof(
  text.map((value): Block => ({ type: 'markdown', text: value })),
  text.map((value): Block => ({ type: 'quote', text: value })),
  text.map((value): Block => ({ type: 'code', text: value })),
  text.map((value): Block => ({ type: 'diff', text: value })),
  fc
    .array(fc.record({ label: text, value: text }), { maxLength: 25 })
    .map((fields): Block => ({ type: 'fields', fields })),
  fc
    .array(fc.record({ label: text, url: fc.oneof(fc.webUrl(), text) }), { maxLength: 25 })
    .map((links): Block => ({ type: 'links', links })),
  fc
    .array(
      fc.record({
        text,
        detail: text,
        state: fc.constantFrom('pending' as const, 'running' as const, 'done' as const, 'failed' as const),
      }),
      { maxLength: 60 },
    )
    .map((items): Block => ({ type: 'plan', items })),
);
const action: fc.Arbitrary<Action> = fc.record({
  id: fc.constantFrom('stop', 'undo-confirm'),
  label: text,
  style: fc.constantFrom('default' as const, 'primary' as const, 'danger' as const),
  value: fc.string({ maxLength: 80 }),
});
const anyCard: fc.Arbitrary<Card> = fc.record({
  title: text,
  tone: fc.constantFrom(
    'neutral' as const,
    'working' as const,
    'success' as const,
    'warning' as const,
    'danger' as const,
  ),
  blocks: fc.array(block, { maxLength: 60 }),
  actions: fc.array(action, { maxLength: 5 }),
  footer: fc.option(text, { nil: undefined }),
});

describe('whatever a card holds', () => {
  it('Slack takes it, and nobody is notified by it', () => {
    fc.assert(
      fc.property(anyCard, (any) => {
        const rendered = renderCard(any);
        expect(blockProblems(rendered.blocks)).toEqual([]);
        expect(isTooLong(rendered.blocks)).toBe(false);
        expect(rendered.text.length).toBeLessThan(1000);
        expect(rendered.text).not.toBe('');
        expect(notifiedBy(rendered)).toEqual([]);
        // Every link leads where links may.
        for (const { text } of textsOf(rendered))
          for (const [, target] of text.matchAll(/<([^|>]*)[|>]/g))
            expect(target).toMatch(/^(https?|mailto):/);
      }),
      { numRuns: 150 },
    );
  });
});
