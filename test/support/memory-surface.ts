import { EventEmitter, once } from 'node:events';
import type { Card } from '#core/conversations/card.ts';
import type {
  ConversationAddress,
  Inbound,
  MessageRef,
  Reaction,
  Receive,
  Role,
  Surface,
} from '#core/conversations/surface.ts';

export interface Shown {
  id: number;
  conversation: string;
  key: string;
  card: Card;
  edits: number;
}

export interface MemorySurface extends Surface {
  readonly shown: Shown[];
  readonly reactions: { to: string; reaction: Reaction }[];
  /** A person writes in a thread. */
  say(
    text: string,
    options?: Partial<Pick<Inbound, 'id' | 'addressed' | 'sentAt'>> & { thread?: string; user?: string },
  ): Promise<string>;
  press(card: Card, actionId: string, options?: { thread?: string; user?: string }): Promise<void>;
  /** Resolves once the shown messages satisfy the predicate; rejects after `ms`. */
  until<T>(find: (shown: readonly Shown[]) => T | undefined | false, ms?: number): Promise<T>;
}

/** A chat that is a list: a real implementation of the surface port for tests of the core. */
export function createMemorySurface(roles: Record<string, Role> = { ada: 'operator' }): {
  surface: MemorySurface;
  connect(receive: Receive): void;
} {
  const changed = new EventEmitter();
  const shown: Shown[] = [];
  const reactions: { to: string; reaction: Reaction }[] = [];
  let receive: Receive = () => Promise.reject(new Error('not connected'));
  let clock = Date.parse('2026-01-01T00:00:00Z');
  let count = 0;

  const address = (thread: string): ConversationAddress => ({
    surface: 'slack',
    key: `T/C/${thread}`,
    at: { thread },
  });
  const refTo = (conversation: ConversationAddress, id: number): MessageRef => ({ conversation, at: { id } });
  const idOf = (message: MessageRef): number => Number(message.at.id);

  async function hear(
    inbound: Omit<Inbound, 'conversation' | 'author'>,
    thread: string,
    user: string,
  ): Promise<void> {
    await receive({
      ...inbound,
      conversation: address(thread),
      author: { id: user, name: user, claims: [] },
    });
  }

  const surface: MemorySurface = {
    name: 'slack',
    pace: { updateMs: 0 },
    shown,
    reactions,
    status: () => ({ connected: true, detail: 'in memory' }),
    mount() {},
    async start() {},
    async post(conversation, card, key) {
      count += 1;
      shown.push({ id: count, conversation: conversation.key, key, card, edits: 0 });
      changed.emit('change');
      return refTo(conversation, count);
    },
    async find(conversation, key) {
      const found = shown.find((message) => message.key === key);
      return found && refTo(conversation, found.id);
    },
    async update(message, card) {
      const found = shown.find(({ id }) => id === idOf(message));
      if (!found) throw new Error(`no message ${idOf(message)}`);
      found.card = card;
      found.edits += 1;
      changed.emit('change');
    },
    async react(message, reaction) {
      const to = String(message.at.id);
      if (!reactions.some((r) => r.to === to && r.reaction === reaction)) reactions.push({ to, reaction });
      changed.emit('change');
    },
    async role(person) {
      const role = roles[person.id] ?? 'viewer';
      return { role, reason: role === 'operator' ? 'listed' : 'Only listed people may start runs here.' };
    },
    async say(text, options = {}) {
      clock += 1000;
      const { thread = '1', user = 'ada', addressed = true } = options;
      const id = options.id ?? `slack:${clock}`;
      const inbound = {
        id,
        kind: 'message' as const,
        text,
        addressed,
        sentAt: options.sentAt ?? new Date(clock).toISOString(),
        reactTo: { conversation: address(thread), at: { id } },
      };
      await hear(inbound, thread, user);
      return id;
    },
    async press(card, actionId, { thread = '1', user = 'ada' } = {}) {
      const action = card.actions.find(({ id }) => id === actionId);
      if (!action) throw new Error(`the card "${card.title}" has no action ${actionId}`);
      clock += 1000;
      const sentAt = new Date(clock).toISOString();
      const press = { id: action.id, value: action.value };
      await hear(
        { id: `act:${clock}`, kind: 'action', text: '', addressed: true, sentAt, action: press },
        thread,
        user,
      );
    },
    async until(find, ms = 120_000) {
      const signal = AbortSignal.timeout(ms);
      for (;;) {
        const found = find(shown);
        if (found) return found;
        try {
          await once(changed, 'change', { signal });
        } catch (error) {
          const seen = shown.map(({ card }) => `${card.title}: ${JSON.stringify(card.blocks)}`).join('\n');
          throw new Error(`what was waited for did not come; shown is:\n${seen}`, { cause: error });
        }
      }
    },
    async [Symbol.asyncDispose]() {},
  };
  return {
    surface,
    connect(to) {
      receive = to;
    },
  };
}
