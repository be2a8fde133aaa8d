import type { Action, Block, Card, PlanItem, Tone } from '../conversations/card.ts';
import type { StepKind, StepState, TurnState } from '../store/schema.ts';
import { gist, oneLine } from './tools/truncate.ts';

export interface TurnView {
  turnId: string;
  title: string;
  request: string;
  requestedBy: string;
  state: TurnState;
  /** Somebody asked to stop and the turn has not ended yet. */
  stopping: boolean;
  steps: readonly { title: string; summary: string | null; state: StepState; kind: StepKind }[];
  startedAt: Date;
  note?: string | undefined;
}

/** Steps shown; the earlier ones become one line. */
const MAX_ITEMS = 12;
const MAX_REQUEST = 300;
const MAX_ITEM = 100;

/** The live card of a turn: what was asked, what was done so far and what is being done. The same rows, the same card. */
export function turnCard(turn: TurnView): Card {
  const { note } = turn;
  const items = planItems(turn);
  const blocks: Block[] = [];
  if (turn.request.trim() !== '') blocks.push({ type: 'quote', text: gist(turn.request, MAX_REQUEST) });
  if (items.length > 0) blocks.push({ type: 'plan', items });
  if (note !== undefined) blocks.push({ type: 'markdown', text: note });
  return {
    title: turn.title,
    tone: TONES[turn.state],
    blocks,
    actions: isOpen(turn) && !turn.stopping ? [stopAction(turn.turnId)] : [],
    footer: `${stateWords(turn)} · asked by ${oneLine(turn.requestedBy, 40)} · ${minuteOf(turn.startedAt)}`,
  };
}

/** The end is told in the final message; that, not this card, says whether it is a good one. */
const TONES: Record<TurnState, Tone> = {
  queued: 'neutral',
  working: 'working',
  done: 'neutral',
  failed: 'danger',
  stopped: 'warning',
  undone: 'neutral',
};

const stopAction = (turnId: string): Action => ({
  id: 'stop',
  label: 'Stop',
  style: 'danger',
  value: turnId,
});

const isOpen = ({ state }: TurnView): boolean => state === 'queued' || state === 'working';

const stateWords = (turn: TurnView): string =>
  isOpen(turn) && turn.stopping ? 'Stopping' : STATE_WORDS[turn.state];
const STATE_WORDS: Record<TurnState, string> = {
  queued: 'Waiting',
  working: 'Working',
  done: 'Finished',
  failed: 'Failed',
  stopped: 'Stopped',
  undone: 'Undone',
};

const minuteOf = (date: Date): string => `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;

function planItems(turn: TurnView): PlanItem[] {
  const items = turn.steps.map(({ title, summary, state }): PlanItem => {
    if (state !== 'started') return { text: oneLine(summary ?? title, MAX_ITEM), state };
    if (isOpen(turn)) {
      return {
        text: oneLine(title, MAX_ITEM),
        state: 'running',
        detail: summary ? oneLine(summary, MAX_ITEM) : undefined,
      };
    }
    return { text: oneLine(title, MAX_ITEM), state: 'failed', detail: 'cut off' };
  });
  if (items.length <= MAX_ITEMS) return items;
  const earlier = items.length - (MAX_ITEMS - 1);
  return [{ text: `… ${earlier} earlier steps`, state: 'done' }, ...items.slice(earlier)];
}
