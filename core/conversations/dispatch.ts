import type { Kysely, Selectable } from 'kysely';
import type { Forge } from '#adapters/forge/forge.ts';
import type { Logger } from '#observability/log.ts';
import type { Stops } from '../runs/stops.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import type { Turn } from '../runs/turns.ts';
import type { MessageTable, Schema } from '../store/schema.ts';
import { textCard } from './card.ts';
import { type Command, type CommandVerb, parseCommand } from './command.ts';
import { answer, atLeast, type Handler, type Handlers, type Scene, type Verdict } from './handler.ts';
import { helpCard } from './help.ts';
import type { Outbox } from './outbox.ts';
import { locate } from './place.ts';
import type { Surface, SurfaceName } from './surface.ts';

export interface DispatchDeps {
  db: Kysely<Schema>;
  outbox: Outbox;
  stops: Stops;
  surfaces: () => ReadonlyMap<SurfaceName, Surface>;
  forge: Forge | undefined;
  /** What each part of the core brings to the grammar. */
  handlers: readonly Handlers[];
  /** Words that are no command. */
  talk: Handler;
  /** The run's turn that is worked on, or the first that waits: words belong to it. */
  openTurn: (db: Kysely<Schema>, runId: string) => Promise<Turn | undefined>;
  log: Logger;
}

type Message = Selectable<MessageTable>;

export interface Dispatch {
  /** The job: decides what is undecided in the message's conversation. Throws what is worth a retry. */
  dispatch(messageId: string): Promise<void>;
  giveUp(messageId: string): Promise<void>;
}

/**
 * Decides what each message means. Every decision is one transaction: the message's outcome, the turn it starts, the
 * answer it gets. What needs the network (role, repository) is asked before it. Messages of one conversation are
 * decided in the order they were said, whatever order they arrived in.
 */
export function createDispatch(deps: DispatchDeps): Dispatch {
  const { db, outbox } = deps;
  const verbs: Handlers['verbs'] = Object.assign({}, ...deps.handlers.map((part) => part.verbs));
  const actions: Handlers['actions'] = Object.assign({}, ...deps.handlers.map((part) => part.actions));
  const known = new Set(Object.keys(verbs) as CommandVerb[]);

  async function dispatch(messageId: string): Promise<void> {
    const { conversation_id } = await db
      .selectFrom('message')
      .select('conversation_id')
      .where('id', '=', messageId)
      .executeTakeFirstOrThrow();
    for (;;) {
      const message = await db
        .selectFrom('message')
        .selectAll()
        .where('conversation_id', '=', conversation_id)
        .where('outcome', 'is', null)
        .orderBy('sent_at')
        .orderBy('id')
        .executeTakeFirst();
      if (!message) return;
      await handle(message);
    }
  }

  /** The job was retried in vain: the person is told rather than left waiting. */
  async function giveUp(messageId: string): Promise<void> {
    await db.transaction().execute(async (trx) => {
      const message = await trx
        .updateTable('message')
        .set({ outcome: 'refused', outcome_detail: 'internal error' })
        .where('id', '=', messageId)
        .where('outcome', 'is', null)
        .returningAll()
        .executeTakeFirst();
      if (!message) return;
      const card = textCard(
        'Something broke inside Comio',
        'danger',
        'Your message was not acted on. Please say it again.',
      );
      await outbox.answer(trx, message.conversation_id, `reply:${message.id}`, card);
    });
  }

  async function handle(message: Message): Promise<void> {
    const { inbound } = message;
    const surface = deps.surfaces().get(inbound.conversation.surface);
    if (!surface) throw new Error(`the surface ${inbound.conversation.surface} is not configured`);
    const { role, reason } = await surface.role(inbound.author, inbound.conversation);
    const place = await locate(db, deps.forge, inbound, message.conversation_id);
    const verdict = await db.transaction().execute(async (trx) => {
      const conversation = await trx
        .selectFrom('conversation')
        .selectAll()
        .where('id', '=', message.conversation_id)
        .forNoKeyUpdate()
        .executeTakeFirstOrThrow();
      const now = await trx
        .selectFrom('message')
        .select('outcome')
        .where('id', '=', message.id)
        .executeTakeFirstOrThrow();
      if (now.outcome !== null) return undefined;
      const runId = place.runId ?? conversation.run_id;
      const scene = { trx, conversation, message, inbound, role, roleReason: reason, place, runId };
      const decided = await decide(scene);
      await trx
        .updateTable('message')
        .set({
          outcome: decided.outcome,
          outcome_detail: decided.detail ?? null,
          turn_id: decided.turnId ?? null,
        })
        .where('id', '=', message.id)
        .execute();
      return decided;
    });
    if (verdict) deps.log.debug({ message: message.id, outcome: verdict.outcome }, 'message decided');
    if (verdict?.stop) deps.stops.now(verdict.stop);
  }

  async function decide(scene: Scene): Promise<Verdict> {
    const { inbound, role, runId } = scene;
    if (inbound.action) return press(scene, inbound.action);
    const open = runId === null ? undefined : await deps.openTurn(scene.trx, runId);
    const command = parseCommand(inbound.text, inbound);
    const steers = command.kind === 'talk' && open?.state === 'working' && !isUndo(open);
    if (!inbound.addressed && command.kind === 'talk' && !steers)
      return { outcome: 'ignored', detail: 'not addressed to Comio' };
    // A mention and nothing else asks what there is to say.
    const wordless = command.kind === 'talk' && command.text === '' && !inbound.review;
    if (wordless || (command.kind === 'command' && command.verb === 'help'))
      return answer(outbox, scene, helpCard(known));
    const handler = command.kind === 'talk' ? deps.talk : handlerOf(command);
    if (!atLeast(role, handler?.role ?? 'operator')) return refuse(scene);
    if (!handler) return unknown(scene, command);
    if (steers && open) return steer(scene, open);
    return handler.handle(scene, command.kind === 'command' ? command : { args: inbound.text, options: {} });
  }

  /** Buttons are verbs, pressed; what they are about comes back with the press. */
  async function press(scene: Scene, action: { id: string; value: string }): Promise<Verdict> {
    const handler = Object.hasOwn(actions, action.id) ? actions[action.id] : undefined;
    if (!handler) return unknown(scene, { kind: 'unknown', word: action.id });
    if (!atLeast(scene.role, handler.role)) return refuse(scene);
    return handler.handle(scene, { args: action.value, options: {} });
  }

  const handlerOf = (command: Command): Handler | undefined =>
    command.kind === 'command' ? verbs[command.verb] : undefined;

  function unknown(scene: Scene, command: Command): Promise<Verdict> {
    const word = command.kind === 'unknown' ? command.word : command.kind;
    const suggestion = command.kind === 'unknown' ? command.suggestion : undefined;
    const hint = suggestion ? ` Did you mean \`${suggestion}\`?` : '';
    return answer(
      outbox,
      scene,
      textCard(
        `I do not know "${oneLine(word, 40)}"`,
        'warning',
        `${hint} \`help\` lists what I can do.`.trim(),
      ),
    );
  }

  /** Friendly, once, and only to someone who spoke to Comio. */
  async function refuse(scene: Scene): Promise<Verdict> {
    if (!scene.inbound.addressed) return { outcome: 'refused', detail: scene.roleReason };
    const card = textCard(
      `Sorry ${oneLine(scene.inbound.author.name, 40)}, I may not do this for you`,
      'warning',
      scene.roleReason,
    );
    return { ...(await answer(outbox, scene, card, 'refused')), detail: scene.roleReason };
  }

  async function steer(scene: Scene, turn: Turn): Promise<Verdict> {
    const { reactTo, addressed } = scene.inbound;
    if (reactTo && !addressed) await outbox.react(scene.trx, scene.conversation.id, reactTo, 'seen');
    return { outcome: 'queued', detail: 'applied before the next step', turnId: turn.id };
  }

  return { dispatch, giveUp };
}

const isUndo = (turn: Turn): boolean => turn.verb === 'undo' || turn.verb === 'undo-confirm';
