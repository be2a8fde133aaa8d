import { APPROVAL_ACTIONS, type Card, textCard } from '../conversations/card.ts';
import {
  answer,
  atLeast,
  audit,
  type Handler,
  type Handlers,
  type Scene,
  type Verdict,
} from '../conversations/handler.ts';
import type { Outbox } from '../conversations/outbox.ts';
import { deciders, nameOf, outcome, shortId, titled } from './approval-card.ts';
import type { Approval, Close } from './approvals.ts';

type Decision = 'approved' | 'rejected';

const VERBS: Readonly<Record<Decision, string>> = { approved: 'approve', rejected: 'reject' };
/** Of the reason that goes with a decision. */
const MAX_REASON = 1000;
/** Questions listed when somebody does not say which. */
const MAX_LISTED = 10;

/**
 * The verbs and the buttons. What a question needs is looked at when it is decided: the role somebody has then, and
 * that it is still open. Everybody gets an answer.
 */
export function createApprovalCommands(deps: { outbox: Outbox; now: () => Date; close: Close }): Handlers {
  const { outbox, now, close } = deps;
  const say = (scene: Scene, card: Card): Promise<Verdict> => answer(outbox, scene, card);

  async function refuse(scene: Scene, title: string, why: string): Promise<Verdict> {
    return { ...(await answer(outbox, scene, textCard(title, 'warning', why), 'refused')), detail: title };
  }

  const tooLate = (scene: Scene, approval: Approval): Promise<Verdict> =>
    say(
      scene,
      textCard(
        outcome(approval),
        'neutral',
        approval.state === 'expired'
          ? 'Nobody decided in time, so nothing happened. Ask for it again and there is a new question.'
          : 'It was decided before, so this changes nothing.',
      ),
    );

  /** `id` is of a question in this conversation; its row is the lock that two presses meet at. */
  async function decide(scene: Scene, id: string, decision: Decision, reason: string): Promise<Verdict> {
    const { trx, inbound } = scene;
    const approval = await trx
      .selectFrom('approval')
      .selectAll()
      .where('id', '=', id)
      .forNoKeyUpdate()
      .executeTakeFirstOrThrow();
    if (approval.state !== 'pending') return tooLate(scene, approval);
    const time = now();
    if (approval.expires_at <= time)
      return tooLate(scene, await close(trx, approval, { state: 'expired', at: time }));
    const { author } = inbound;
    if (!atLeast(scene.role, approval.required_role))
      return refuse(
        scene,
        `Sorry ${nameOf(author)}, this is for ${deciders(approval)} to decide`,
        scene.roleReason,
      );
    // Ids are of one surface: a question is asked and decided in one conversation.
    if (approval.four_eyes && author.id === approval.requested_by.id)
      return refuse(
        scene,
        `${nameOf(author)}, somebody else has to decide what you asked for`,
        `Four eyes see more than two: ${deciders(approval)} may.`,
      );
    const closed = await close(trx, approval, {
      state: decision,
      by: author,
      reason: reason.slice(0, MAX_REASON) || undefined,
      at: time,
    });
    const { subject, subject_id, digest } = closed;
    await audit(scene, `approval.${decision}`, id, { subject, subject_id, digest, reason: closed.reason });
    if (inbound.reactTo) await outbox.react(trx, scene.conversation.id, inbound.reactTo, 'done');
    return { outcome: 'answered', detail: decision };
  }

  const press = (decision: Decision): Handler => ({
    role: 'viewer',
    async handle(scene, { args }) {
      const found = await inThread(scene).where('id', '=', args).executeTakeFirst();
      return found
        ? decide(scene, found.id, decision, '')
        : refuse(
            scene,
            'That question is not from this thread',
            'Decide it in the thread where it was asked.',
          );
    },
  });

  const verb = (decision: Decision): Handler => ({
    role: 'viewer',
    async handle(scene, { args }) {
      const { id: named, rest } = withId(args);
      const reason = decision === 'rejected' ? rest : '';
      if (named !== undefined) {
        const found = await inThread(scene).where('id', 'like', `${named}%`).executeTakeFirst();
        return found
          ? decide(scene, found.id, decision, reason)
          : refuse(scene, `There is no question ${named} in this thread`, 'Its card shows its number.');
      }
      const open = await inThread(scene)
        .where('state', '=', 'pending')
        .limit(MAX_LISTED + 1)
        .execute();
      const [one, another] = open;
      if (one && another) return say(scene, which(decision, open));
      if (one) return decide(scene, one.id, decision, reason);
      // People say this word to each other, too.
      if (!scene.inbound.addressed) return { outcome: 'ignored', detail: 'nothing waits for approval' };
      const last = await inThread(scene).executeTakeFirst();
      return last ? tooLate(scene, last) : say(scene, textCard('Nothing waits for approval here', 'neutral'));
    },
  });

  return {
    verbs: { approve: verb('approved'), reject: verb('rejected') },
    actions: {
      [APPROVAL_ACTIONS.approve]: press('approved'),
      [APPROVAL_ACTIONS.reject]: press('rejected'),
    },
  };
}

/** Newest first. */
const inThread = ({ trx, conversation }: Scene) =>
  trx
    .selectFrom('approval')
    .selectAll()
    .where('conversation_id', '=', conversation.id)
    .orderBy('created_at', 'desc')
    .orderBy('id');

/** The id a card shows, in front of the words. */
function withId(args: string): { id: string | undefined; rest: string } {
  const { id, rest = args } =
    /^(?<id>[0-9a-f]{8})(?![\w-])[,:;.]?\s*(?<rest>[\s\S]*)$/i.exec(args)?.groups ?? {};
  return { id: id?.toLowerCase(), rest };
}

function which(decision: Decision, open: readonly Approval[]): Card {
  const word = VERBS[decision];
  return {
    title: `Which one? ${open.length > MAX_LISTED ? 'Many' : open.length} questions are open here`,
    tone: 'neutral',
    // Titles were written for a card and may hold anything: they are shown as they are.
    blocks: open.slice(0, MAX_LISTED).flatMap((approval) => [
      { type: 'quote' as const, text: titled(approval.card) },
      { type: 'markdown' as const, text: `\`${word} ${shortId(approval.id)}\`` },
    ]),
    actions: [],
  };
}
