import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hasKey, nonceOf, renderCard } from '#bots/discord/render.ts';
import { type Block, type Card, textCard } from '#core/conversations/card.ts';
import { SurfaceError } from '#core/conversations/surface.ts';
import { checkMessage, flatten, numberComponents } from '#test/peers/discord-checks.ts';

const card = (blocks: Block[], more: Partial<Card> = {}): Card => ({
  ...textCard('Fixing the tests', 'working'),
  blocks,
  ...more,
});
const text = (rendered: ReturnType<typeof renderCard>) =>
  flatten(rendered.components as Parameters<typeof flatten>[0])
    .flatMap((component) => component.content ?? [])
    .join('\n');
const shown = (...blocks: Block[]) => text(renderCard(card(blocks), 'key'));

test('a card is one container of texts and a row of buttons', () => {
  const rendered = renderCard(
    card(
      [
        { type: 'markdown', text: 'Two tests fail.' },
        {
          type: 'plan',
          items: [
            { text: 'Ran tests', state: 'done', detail: '14 passed' },
            { text: 'Editing *app.ts*', state: 'running' },
          ],
        },
        { type: 'fields', fields: [{ label: 'Branch', value: '`fix/tests`' }] },
        {
          type: 'links',
          links: [{ label: 'Pull [request] 7', url: 'https://github.com/acme/recipes/pull/7' }],
        },
      ],
      { actions: [{ id: 'stop', label: 'Stop', style: 'danger', value: 'run:1' }], footer: 'step 3' },
    ),
    'key',
  );
  expect(rendered).toMatchObject({ flags: 32768, allowed_mentions: { parse: [] } });
  expect(rendered.components[0].components).toEqual([
    { type: 10, id: expect.any(Number), content: '### Fixing the tests' },
    { type: 10, content: 'Two tests fail.' },
    { type: 10, content: '✅ Ran tests\n-# 14 passed\n⏳ Editing \\*app.ts\\*' },
    { type: 10, content: '**Branch** `fix/tests`' },
    { type: 10, content: '[Pull request 7](<https://github.com/acme/recipes/pull/7>)' },
    { type: 1, components: [{ type: 2, style: 4, label: 'Stop', custom_id: 'stop:run:1' }] },
    { type: 10, content: '-# step 3' },
  ]);
});

test('Markdown is written as Discord reads it', () => {
  expect(
    shown({
      type: 'markdown',
      text: '#### Result\n<!-- hidden -->\n![shot](https://x.test/a.png)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n~~~js\nlet a = "<@1>";\n~~~',
    }),
  ).toBe(
    '### Fixing the tests\n**Result**\n\n[shot](https://x.test/a.png)\n\n```\n| a | b |\n|---|---|\n| 1 | 2 |\n```\n\n```js\nlet a = "<@1>";\n```',
  );
});

test('nobody is mentioned', () => {
  const said = shown(
    { type: 'markdown', text: 'Thanks @everyone, @here, <@42>, <@&43>, <#44> and </new:45>' },
    { type: 'plan', items: [{ text: 'Asked <@42>', state: 'done' }] },
    { type: 'fields', fields: [{ label: '@here', value: '<@42>' }] },
  );
  expect(said).not.toMatch(/@everyone|@here|<@|<#|<\//);
});

test('code cannot leave its fence', () => {
  const said = shown({ type: 'code', text: 'a\n```\n@everyone', language: 'md' });
  expect(said.match(/^```/gm)).toHaveLength(2);
});

test('only web links become links', () => {
  expect(shown({ type: 'links', links: [{ label: 'Click', url: 'javascript:alert(1)' }] })).not.toContain(
    '](',
  );
});

test('a long diff is shortened with a notice, and short blocks stay whole', () => {
  const said = shown(
    { type: 'diff', text: Array.from({ length: 900 }, (_, n) => `+line ${n}`).join('\n') },
    { type: 'markdown', text: 'All 14 tests pass.' },
  );
  expect(said).toContain('All 14 tests pass.');
  expect(said).toContain('+line 0\n');
  expect(said).toMatch(/```\n-# … \d+ more lines not shown/);
  expect(said.length).toBeGreaterThan(3500);
});

test('a long plan keeps its newest steps', () => {
  const items = Array.from({ length: 400 }, (_, n) => ({ text: `Step number ${n}`, state: 'done' as const }));
  const said = shown({ type: 'plan', items });
  expect(said).toContain('Step number 399');
  expect(said).not.toContain('Step number 0\n');
  expect(said).toMatch(/\d+ earlier steps not shown/);
});

test('one endless line is cut inside', () => {
  const said = shown({ type: 'code', text: 'x'.repeat(9000) });
  expect(said).toMatch(/x{3000,}…\n```\n-# … [\d,]+ more characters not shown/);
});

test('a long text is shown as it is, too', () => {
  const marks = '**bold** __under__ `code` [name](https://x.test) @everyone ||hidden|| ';
  const said = shown({ type: 'quote', text: `1. ${marks.repeat(500)}` });
  expect(said).not.toMatch(/(?<!\\)[*_`|[\]]|@everyone/);
  expect(said).toContain('\\*\\*bold\\*\\*');
});

test('an action no button can carry is invalid', () => {
  const broken = card([], {
    actions: [{ id: 'undo-confirm', label: 'Undo', style: 'default', value: 'x'.repeat(90) }],
  });
  expect(() => renderCard(broken, 'key')).toThrow(SurfaceError);
});

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.string({ maxLength: 3 }).map((part) => `${part}\n`.repeat(1500)),
  fc.constantFrom(
    '',
    ' ',
    '```',
    '@everyone',
    '\n\n',
    '# ',
    '𝒳'.repeat(5000),
    '|a|\n'.repeat(2000),
    '*_`~'.repeat(1200),
  ),
);
const anyBlock: fc.Arbitrary<Block> = fc.oneof(
  anyText.map((value) => ({ type: 'markdown' as const, text: value })),
  anyText.map((value) => ({ type: 'quote' as const, text: value })),
  anyText.map((value) => ({ type: 'diff' as const, text: value })),
  fc.record({
    type: fc.constant('code' as const),
    text: anyText,
    language: fc.option(anyText, { nil: undefined }),
  }),
  fc.record({
    type: fc.constant('fields' as const),
    fields: fc.array(fc.record({ label: anyText, value: anyText }), { maxLength: 20 }),
  }),
  fc.record({
    type: fc.constant('links' as const),
    links: fc.array(fc.record({ label: anyText, url: fc.oneof(fc.webUrl(), anyText) }), { maxLength: 20 }),
  }),
  fc.record({
    type: fc.constant('plan' as const),
    items: fc.array(
      fc.record({
        text: anyText,
        state: fc.constantFrom('pending', 'running', 'done', 'failed'),
        detail: fc.option(anyText, { nil: undefined }),
      }),
      { maxLength: 60 },
    ),
  }),
);
const anyCard: fc.Arbitrary<Card> = fc.record({
  title: anyText,
  tone: fc.constantFrom('neutral', 'working', 'success', 'warning', 'danger'),
  blocks: fc.array(anyBlock, { maxLength: 60 }),
  actions: fc.uniqueArray(
    fc.record({
      id: fc.constantFrom('stop', 'undo-confirm', 'approve', 'deny', 'more'),
      label: anyText,
      style: fc.constantFrom('default', 'primary', 'danger'),
      value: fc.string({ maxLength: 80 }),
    }),
    { selector: (action) => action.id, maxLength: 5 },
  ),
  footer: fc.option(anyText, { nil: undefined }),
});

test('Discord accepts every card, and its key can be read back', () => {
  fc.assert(
    fc.property(anyCard, fc.string(), fc.string(), (any, key, other) => {
      const rendered = renderCard(any, key);
      checkMessage({ ...rendered, nonce: nonceOf(key), enforce_nonce: true }, 'create');
      checkMessage(rendered, 'edit');
      const stored = numberComponents(rendered.components as Parameters<typeof flatten>[0]);
      // What Discord returns is what it was sent, with the missing ids filled in.
      const returned = stored as Parameters<typeof hasKey>[0];
      expect(hasKey(returned, key)).toBe(true);
      expect(hasKey(returned, other)).toBe(other === key);
    }),
    { numRuns: 150 },
  );
}, 120_000);
