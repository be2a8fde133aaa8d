import { randomUUID } from 'node:crypto';
import { type Approval, type ApprovalService, createApprovals, digestOf } from '#core/approvals/approvals.ts';
import { type Card, textCard } from '#core/conversations/card.ts';
import { createDispatch } from '#core/conversations/dispatch.ts';
import { createInbox } from '#core/conversations/inbox.ts';
import { createOutbox } from '#core/conversations/outbox.ts';
import type { Role } from '#core/conversations/surface.ts';
import { createRunCommands } from '#core/runs/commands.ts';
import { createStops } from '#core/runs/stops.ts';
import { openTurn } from '#core/runs/turns.ts';
import type { Database } from '#core/store/database.ts';
import { openJobs } from '#core/store/jobs.ts';
import { queues } from '#core/store/queues.ts';
import { createMemorySurface, type MemorySurface, type Shown } from '#test/support/memory-surface.ts';
import { silentLog as log } from '#test/support/silent-log.ts';

export const ROLES: Record<string, Role> = {
  ada: 'operator',
  grace: 'operator',
  root: 'admin',
  eve: 'viewer',
};

export interface Asking {
  about?: string;
  title?: string;
  digest?: string;
  thread?: string;
  requiredRole?: 'viewer' | 'operator' | 'admin';
  requestedBy?: string;
  fourEyes?: boolean;
}

export interface ApprovalWorld extends AsyncDisposable {
  chat: MemorySurface;
  approvals: ApprovalService;
  /** What the registered part was told, in order. */
  told: Approval[];
  ask(asking?: Asking): Promise<Approval>;
  row(id: string): Promise<Approval>;
  /** The question's card as it is shown now. */
  card(id: string): Card;
  /** Until the card of this question satisfies the predicate. */
  shows(id: string, is: (card: Card) => boolean): Promise<Card>;
  /** Until somebody was answered with this title. */
  answered(title: string | RegExp): Promise<Shown>;
  /** Whether the part that registered fails from now on. */
  break(broken: boolean): void;
  /** How often it has. */
  readonly refused: number;
}

/** What of a Comio decides questions, over a database that may have been used before. */
export async function openApprovals(
  { db, ...database }: Database,
  now?: () => Date,
  shared = createMemorySurface(ROLES),
): Promise<ApprovalWorld> {
  await using building = new AsyncDisposableStack();
  const jobs = building.use(await openJobs({ db, ...database }, { log, queues }));
  const { surface: chat, connect } = shared;
  const surfaces = () => new Map([['slack' as const, chat]]);
  const redact = (text: string) => text;
  const outbox = createOutbox({ db, jobs, surfaces, redact, log });
  const inbox = createInbox({ db, jobs, outbox, redact, log });
  const approvals = createApprovals({ db, jobs, outbox, log, ...(now ? { now } : {}) });
  const commands = createRunCommands({ outbox, jobs });
  const { dispatch, giveUp } = createDispatch({
    db,
    outbox,
    stops: building.use(createStops(db, log)),
    surfaces,
    forge: undefined,
    handlers: [commands, approvals.handlers],
    talk: commands.talk,
    openTurn,
    log,
  });
  const told: Approval[] = [];
  let broken = false;
  let refused = 0;
  approvals.onDecided('deployment', async (trx, approval) => {
    if (broken) {
      refused += 1;
      throw new Error('cannot begin');
    }
    await trx
      .insertInto('audit')
      .values({ actor: 'test', action: 'began', subject: approval.subject_id, detail: '{}' })
      .execute();
    told.push(approval);
  });
  connect(inbox.receive);
  const onDead = async () => undefined;
  await jobs.work('inbox', { concurrency: 4, onDead: ({ messageId }) => giveUp(messageId) }, (job) =>
    dispatch(job.messageId),
  );
  await jobs.work('outbox', { concurrency: 2, onDead }, (job, signal) =>
    outbox.deliver(job.conversationId, signal),
  );
  await jobs.work('approval', { concurrency: 1, onDead }, (job) => approvals.expire(job.approvalId));

  const row = (id: string) =>
    db.selectFrom('approval').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const shownAs = (shown: readonly Shown[], id: string) => shown.find(({ key }) => key === `approval:${id}`);

  const held = building.move();
  return {
    chat,
    approvals,
    told,
    row,
    async ask({ about = randomUUID(), title = 'Deploy shop to production?', thread = '1', ...asking } = {}) {
      return db.transaction().execute(async (trx) => {
        const address = { surface: 'slack' as const, key: `T/C/${thread}`, at: { thread } };
        const { id: conversationId } = await trx
          .insertInto('conversation')
          .values({ id: randomUUID(), surface: 'slack', key: address.key, address: JSON.stringify(address) })
          .onConflict((conflict) =>
            conflict.columns(['surface', 'key']).doUpdateSet({ address: JSON.stringify(address) }),
          )
          .returning('id')
          .executeTakeFirstOrThrow();
        const { requestedBy = 'ada' } = asking;
        return approvals.ask(trx, {
          subject: 'deployment',
          subjectId: about,
          digest: asking.digest ?? digestOf({ commit: '3f2a1b0', about }),
          card: { ...textCard(title, 'warning', 'Commit 3f2a1b0: faster orders'), footer: 'Release 7' },
          conversationId,
          requiredRole: asking.requiredRole ?? 'operator',
          requestedBy: { id: requestedBy, name: requestedBy, claims: [] },
          fourEyes: asking.fourEyes ?? false,
        });
      });
    },
    card(id) {
      const found = shownAs(chat.shown, id);
      if (!found) throw new Error(`the question ${id} is not shown`);
      return found.card;
    },
    shows: (id, is) =>
      chat.until((shown) => {
        const found = shownAs(shown, id);
        return found && is(found.card) && found.card;
      }),
    answered: (title) =>
      chat.until((shown) =>
        shown.find(
          ({ key, card }) =>
            key.startsWith('reply:') &&
            (typeof title === 'string' ? card.title === title : title.test(card.title)),
        ),
      ),
    break(is) {
      broken = is;
    },
    get refused() {
      return refused;
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
