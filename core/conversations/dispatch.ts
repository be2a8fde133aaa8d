import { randomUUID } from 'node:crypto';
import type { Kysely, Selectable, Transaction } from 'kysely';
import type { Forge } from '#adapters/forge/forge.ts';
import type { Logger } from '#observability/log.ts';
import { createProject, importProject, nameFor, type Project } from '../projects/projects.ts';
import { showTurn } from '../runs/journal.ts';
import type { Stops } from '../runs/stops.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import { createRun, OPEN, openTurn, requestStop, startTurn, type Turn } from '../runs/turns.ts';
import type { Sender } from '../store/queues.ts';
import type { ConversationTable, MessageOutcome, MessageTable, Schema, TurnVerb } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { type Card, textCard } from './card.ts';
import { type Command, parseCommand } from './command.ts';
import { helpCard } from './help.ts';
import type { Outbox } from './outbox.ts';
import { locate, type Place } from './place.ts';
import { statusCard } from './status.ts';
import type { Inbound, Role, Surface, SurfaceName } from './surface.ts';

export interface DispatchDeps {
  db: Kysely<Schema>;
  jobs: Sender;
  outbox: Outbox;
  stops: Stops;
  surfaces: () => ReadonlyMap<SurfaceName, Surface>;
  forge: Forge | undefined;
  log: Logger;
}

type Conversation = Selectable<ConversationTable>;
type Message = Selectable<MessageTable>;

export interface Dispatch {
  /** The job: decides what is undecided in the message's conversation. Throws what is worth a retry. */
  dispatch(messageId: string): Promise<void>;
  giveUp(messageId: string): Promise<void>;
}

interface Verdict {
  outcome: MessageOutcome;
  detail?: string;
  turnId?: string;
  /** Turns whose workers are told at once, after the commit. */
  stop?: readonly string[];
}

interface Scene {
  trx: Transaction<Schema>;
  conversation: Conversation;
  message: Message;
  inbound: Inbound;
  role: Role;
  roleReason: string;
  place: Place;
}

/**
 * Decides what each message means. Every decision is one transaction: the message's outcome, the turn it starts, the
 * answer it gets. What needs the network (role, repository) is asked before it. Messages of one conversation are
 * decided in the order they were said, whatever order they arrived in.
 */
export function createDispatch(deps: DispatchDeps): Dispatch {
  const { db, outbox, jobs } = deps;

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
        .forUpdate()
        .executeTakeFirstOrThrow();
      const now = await trx
        .selectFrom('message')
        .select('outcome')
        .where('id', '=', message.id)
        .executeTakeFirstOrThrow();
      if (now.outcome !== null) return undefined;
      const scene = { trx, conversation, message, inbound, role, roleReason: reason, place };
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
    const { inbound, role } = scene;
    const runId = scene.place.runId ?? scene.conversation.run_id;
    const open = runId === null ? undefined : await openTurn(scene.trx, runId);
    const command: Command = inbound.action
      ? actionAsCommand(inbound.action)
      : parseCommand(inbound.text, inbound);
    const steers = command.kind === 'talk' && open?.state === 'working' && !isUndo(open);
    if (!inbound.addressed && command.kind === 'talk' && !steers) {
      return { outcome: 'ignored', detail: 'not addressed to Comio' };
    }
    // A mention and nothing else asks what there is to say.
    const wordless = command.kind === 'talk' && command.text === '' && !inbound.review;
    if (wordless || (command.kind === 'command' && command.verb === 'help')) return answer(scene, helpCard());
    if (role === 'none' || (role === 'viewer' && !isReading(command))) return refuse(scene);
    if (command.kind === 'unknown') {
      const hint = command.suggestion ? ` Did you mean \`${command.suggestion}\`?` : '';
      return answer(
        scene,
        textCard(
          `I do not know "${oneLine(command.word, 40)}"`,
          'warning',
          `${hint} \`help\` lists what I can do.`.trim(),
        ),
      );
    }
    if (steers && open) return steer(scene, open);
    if (command.kind === 'command') {
      if (command.verb === 'status') return answer(scene, await statusCard(scene.trx, runId));
      if (command.verb === 'stop') return stop(scene, runId);
      if (command.verb === 'undo') return undo(scene, runId, command.args);
    }
    return begin(scene, command, runId);
  }

  async function answer(scene: Scene, card: Card, outcome: MessageOutcome = 'answered'): Promise<Verdict> {
    await outbox.answer(scene.trx, scene.conversation.id, `reply:${scene.message.id}`, card);
    return { outcome };
  }

  /** Friendly, once, and only to someone who spoke to Comio. */
  async function refuse(scene: Scene): Promise<Verdict> {
    if (!scene.inbound.addressed) return { outcome: 'refused', detail: scene.roleReason };
    const card = textCard(
      `Sorry ${oneLine(scene.inbound.author.name, 40)}, I may not do this for you`,
      'warning',
      scene.roleReason,
    );
    return { ...(await answer(scene, card, 'refused')), detail: scene.roleReason };
  }

  async function steer(scene: Scene, turn: Turn): Promise<Verdict> {
    const { reactTo, addressed } = scene.inbound;
    if (reactTo && !addressed) await outbox.react(scene.trx, scene.conversation.id, reactTo, 'seen');
    return { outcome: 'queued', detail: 'applied before the next step', turnId: turn.id };
  }

  async function stop(scene: Scene, runId: string | null): Promise<Verdict> {
    const by = scene.inbound.author.name;
    const meant = runId !== null && (await isOpenTurn(scene, runId));
    const turns = meant ? await requestStop(scene.trx, runId, by) : [];
    if (runId === null || turns.length === 0) {
      // A second press, or a stop that came after the end, is not an error.
      return scene.inbound.action
        ? { outcome: 'answered', detail: 'nothing was running' }
        : answer(scene, textCard('Nothing is running here', 'neutral'));
    }
    const run = await scene.trx
      .selectFrom('run')
      .selectAll()
      .where('id', '=', runId)
      .executeTakeFirstOrThrow();
    for (const turn of turns) {
      await showTurn(scene.trx, outbox, turn, run);
      await audit(scene, 'turn.stop', turn.id, {});
    }
    return { outcome: 'answered', stop: turns.map((turn) => turn.id) };
  }

  /** The word means whatever is open, a card's button the turn of that card: pressed late, it stops no later one. */
  async function isOpenTurn({ trx, inbound }: Scene, runId: string): Promise<boolean> {
    const { action } = inbound;
    if (!action) return true;
    const open = trx
      .selectFrom('turn')
      .select('id')
      .where('id', '=', action.value)
      .where('run_id', '=', runId)
      .where('state', 'in', [...OPEN]);
    return (await open.executeTakeFirst()) !== undefined;
  }

  async function undo(scene: Scene, runId: string | null, args: string): Promise<Verdict> {
    if (args.toLowerCase() === 'keep') return answer(scene, textCard('Kept as it is', 'neutral'));
    if (runId === null)
      return answer(scene, textCard('Nothing to undo', 'neutral', 'No run belongs to this thread.'));
    const verb = args.toLowerCase() === 'confirm' ? 'undo-confirm' : 'undo';
    return queue(scene, runId, verb, 'undo');
  }

  async function begin(scene: Scene, command: Command, runId: string | null): Promise<Verdict> {
    const { trx, inbound, place, conversation } = scene;
    const verb: TurnVerb = command.kind === 'command' ? (command.verb as TurnVerb) : 'edit';
    const said = command.kind === 'command' ? command.args : inbound.text;
    if (verb === 'new') {
      if (conversation.project_id !== null) {
        return answer(
          scene,
          textCard(
            'This thread has a project already',
            'warning',
            'Start the new one in a thread of its own.',
          ),
        );
      }
      if (said === '')
        return answer(
          scene,
          textCard(
            'What shall I build?',
            'warning',
            'For instance: `new an API for cooking recipes with tests`',
          ),
        );
      const name = command.kind === 'command' ? command.options.name : undefined;
      const project = await createProject(trx, {
        name: nameFor(name ?? said),
        description: oneLine(said, 300),
      });
      return startRun(scene, project, verb, said, project.default_branch);
    }
    if (verb === 'import') {
      if (conversation.project_id !== null) {
        return answer(
          scene,
          textCard(
            'This thread has a project already',
            'warning',
            'Import the other one in a thread of its own.',
          ),
        );
      }
      if (!place.repository)
        return answer(
          scene,
          textCard('Which repository?', 'warning', place.problem ?? 'For instance: `import owner/name`'),
        );
      const project = await importProject(trx, place.repository);
      return startRun(scene, project, verb, place.rest);
    }
    // "fix it": without its verb the request would say nothing.
    const request = withReview(inbound, verb === 'fix' ? `fix ${said}`.trim() : said);
    if (runId !== null) {
      if (conversation.run_id === null) await link(scene, runId);
      return queue(scene, runId, verb, request);
    }
    if (place.repository) {
      const project = await importProject(trx, place.repository);
      return startRun(scene, project, verb, request, place.pullRequest?.headBranch);
    }
    const problem =
      place.problem ??
      'Begin with `import owner/name` for a repository you have, or `new …` for one you have not.';
    return answer(scene, textCard('Which project is this about?', 'warning', problem));
  }

  async function startRun(
    scene: Scene,
    project: Project,
    verb: TurnVerb,
    request: string,
    branch?: string,
  ): Promise<Verdict> {
    const { pullRequest } = scene.place;
    const run = await createRun(scene.trx, {
      projectId: project.id,
      title: project.name,
      branch: branch ?? `comio/${slug(request || project.name)}-${randomUUID().slice(0, 6)}`,
      pullRequest: pullRequest?.number,
      url: pullRequest?.url,
    });
    await link(scene, run.id, project.id);
    return queue(scene, run.id, verb, request);
  }

  async function link(scene: Scene, runId: string, projectId?: string): Promise<void> {
    const { project_id } =
      projectId !== undefined
        ? { project_id: projectId }
        : await scene.trx
            .selectFrom('run')
            .select('project_id')
            .where('id', '=', runId)
            .executeTakeFirstOrThrow();
    await scene.trx
      .updateTable('conversation')
      .set({ run_id: runId, project_id })
      .where('id', '=', scene.conversation.id)
      .execute();
  }

  async function queue(scene: Scene, runId: string, verb: TurnVerb, text: string): Promise<Verdict> {
    const { turn, position } = await startTurn(scene.trx, jobs, {
      runId,
      conversationId: scene.conversation.id,
      messageId: scene.message.id,
      verb,
      text,
      person: scene.inbound.author,
    });
    const run = await scene.trx
      .selectFrom('run')
      .selectAll()
      .where('id', '=', runId)
      .executeTakeFirstOrThrow();
    const waits =
      position > 0
        ? `Waits for ${position} earlier ${position === 1 ? 'turn' : 'turns'} in this run.`
        : undefined;
    await showTurn(scene.trx, outbox, turn, run, waits);
    await audit(scene, 'turn.start', turn.id, { verb, run: runId });
    return { outcome: 'queued', detail: `position ${position}`, turnId: turn.id };
  }

  const audit = (scene: Scene, action: string, subject: string, detail: Record<string, unknown>) =>
    scene.trx
      .insertInto('audit')
      .values({
        actor: `${scene.inbound.conversation.surface}:${scene.inbound.author.id}`,
        action,
        subject,
        detail: toJson({ ...detail, message: scene.message.id }),
      })
      .execute();

  return { dispatch, giveUp };
}

const isUndo = (turn: Turn): boolean => turn.verb === 'undo' || turn.verb === 'undo-confirm';

const isReading = (command: Command): boolean => command.kind === 'command' && command.verb === 'status';

/** Buttons are the grammar's verbs, pressed. */
function actionAsCommand(action: { id: string; value: string }): Command {
  const press = (verb: 'stop' | 'undo', args: string): Command => ({
    kind: 'command',
    verb,
    args,
    options: {},
  });
  if (action.id === 'stop') return press('stop', '');
  if (action.id === 'undo-confirm') return press('undo', 'confirm');
  if (action.id === 'undo-keep') return press('undo', 'keep');
  return { kind: 'unknown', word: action.id };
}

/** A review comment says where it points; the model needs the place with the words. */
const withReview = ({ review }: Inbound, said: string): string =>
  review
    ? `${said} (on ${review.path}${review.line === undefined ? '' : `:${review.line}`})\n\n${review.diffHunk}`
    : said;

/** A branch name's readable part: ours, never the person's text unescaped. */
const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 32)
    .replace(/-+$/, '') || 'work';
