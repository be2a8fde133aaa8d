import { describe, expect, it } from 'vitest';
import { type TurnView, turnCard } from '#core/runs/turn-card.ts';

const step = (title: string, summary: string | null = null): TurnView['steps'][number] => ({
  title,
  summary,
  state: summary === null ? 'started' : 'done',
  kind: 'tool',
});
const view = (change: Partial<TurnView> = {}): TurnView => ({
  turnId: 'turn-1',
  title: 'recipes: add pagination',
  request: 'add\npagination',
  requestedBy: 'Ada',
  state: 'working',
  stopping: false,
  steps: [],
  startedAt: new Date('2026-03-01T14:03:59Z'),
  ...change,
});
const plan = (turn: TurnView) =>
  turnCard(turn).blocks.flatMap((block) => (block.type === 'plan' ? block.items : []));

describe('the live card', () => {
  it('shows who asked for what, what was done and what is being done', () => {
    const steps = [step('Reading a.ts', 'Read a.ts'), step('Running tests')];
    expect(turnCard(view({ steps }))).toEqual({
      title: 'recipes: add pagination',
      tone: 'working',
      blocks: [
        { type: 'quote', text: 'add pagination' },
        {
          type: 'plan',
          items: [
            { text: 'Read a.ts', state: 'done' },
            { text: 'Running tests', state: 'running' },
          ],
        },
      ],
      actions: [{ id: 'stop', label: 'Stop', style: 'danger', value: 'turn-1' }],
      footer: 'Working · asked by Ada · 2026-03-01 14:03 UTC',
    });
  });

  it('turns the present into the past when a step ends', () => {
    expect(plan(view({ steps: [step('Running tests')] }))[0]?.text).toBe('Running tests');
    expect(plan(view({ steps: [step('Running tests', 'Ran tests, 14 passed')] }))[0]?.text).toBe(
      'Ran tests, 14 passed',
    );
    const failed = { ...step('Running tests', 'Ran tests, 2 of 14 failed'), state: 'failed' as const };
    expect(plan(view({ steps: [failed] }))).toEqual([{ text: 'Ran tests, 2 of 14 failed', state: 'failed' }]);
  });

  it('shows under the step at work what it is doing', () => {
    const working = { ...step('Running tests'), summary: 'ok 3 - adds' };
    expect(plan(view({ steps: [working] }))).toEqual([
      { text: 'Running tests', state: 'running', detail: 'ok 3 - adds' },
    ]);
    expect(plan(view({ state: 'stopped', steps: [working] }))).toEqual([
      { text: 'Running tests', state: 'failed', detail: 'cut off' },
    ]);
  });

  it.each([
    [12, undefined],
    [13, '… 2 earlier steps'],
    [20, '… 9 earlier steps'],
  ])('of %i steps shows the last twelve lines', (count, earlier) => {
    const steps = Array.from({ length: count }, (_, index) => step('', `Step ${index + 1}`));
    const items = plan(view({ steps }));
    expect(items).toHaveLength(12);
    expect(items.at(-1)?.text).toBe(`Step ${count}`);
    expect(items[0]?.text).toBe(earlier ?? 'Step 1');
    if (earlier !== undefined) expect(items[1]?.text).toBe(`Step ${count - 10}`);
  });

  it.each([
    ['queued', false, 'neutral', 'Waiting', true],
    ['working', false, 'working', 'Working', true],
    ['working', true, 'working', 'Stopping', false],
    ['done', false, 'neutral', 'Finished', false],
    ['done', true, 'neutral', 'Finished', false],
    ['stopped', true, 'warning', 'Stopped', false],
    ['failed', false, 'danger', 'Failed', false],
    ['undone', false, 'neutral', 'Undone', false],
  ] as const)('%s (stop asked: %s) is %s, "%s", with Stop: %s', (state, stopping, tone, words, stop) => {
    const card = turnCard(view({ state, stopping }));
    expect(card.tone).toBe(tone);
    expect(card.footer?.startsWith(`${words} ·`)).toBe(true);
    expect(card.actions.map(({ id }) => id)).toEqual(stop ? ['stop'] : []);
  });

  it('tells a step that was cut off by the end of the turn', () => {
    expect(plan(view({ state: 'stopped', steps: [step('Running tests')] }))).toEqual([
      { text: 'Running tests', state: 'failed', detail: 'cut off' },
    ]);
  });

  it('shows a note, and no empty blocks', () => {
    expect(turnCard(view({ note: 'Waits for 1 earlier turn.', request: ' ' })).blocks).toEqual([
      { type: 'markdown', text: 'Waits for 1 earlier turn.' },
    ]);
  });

  it('keeps long texts short', () => {
    const long = 'x'.repeat(5000);
    const card = turnCard(view({ request: long, steps: [step(long), step(long, long)], requestedBy: long }));
    expect(JSON.stringify(card).length).toBeLessThan(1200);
  });
});
