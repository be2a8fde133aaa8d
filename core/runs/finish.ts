import type { Sandbox } from '#sandbox/sandbox.ts';
import { SandboxError, type SandboxErrorCode } from '#sandbox/sandbox.ts';
import type { DiffStat } from '#sandbox/workspace-git.ts';
import * as git from '#sandbox/workspace-git.ts';
import type { Card } from '../conversations/card.ts';
import type { Outbox } from '../conversations/outbox.ts';
import type { Reaction } from '../conversations/surface.ts';
import { composeFinal } from './evidence.ts';
import { type Journal, showTurn } from './journal.ts';
import { factsOf } from './loop.ts';
import type { OnTurnEnded } from './turns.ts';

export interface Ending {
  state: 'done' | 'failed' | 'stopped';
  card: Card;
  error?: string | undefined;
  endCheckpoint?: string | undefined;
  /** The turn that this one undid. It becomes `undone` with this one's end, so that a crash cannot undo one more. */
  undoes?: string | undefined;
}

/**
 * Ends the turn: state, final message, reaction and live card in one transaction. False when people wrote something
 * meanwhile that has not been applied: then the turn is not over.
 */
export function endTurn(
  { outbox, onTurnEnded }: { outbox: Outbox; onTurnEnded?: OnTurnEnded | undefined },
  journal: Journal,
  ending: Ending,
): Promise<boolean> {
  return journal.write(async (trx) => {
    const { turn, run } = journal;
    const waiting = trx
      .selectFrom('message')
      .select('id')
      .where('turn_id', '=', turn.id)
      .where('outcome', '=', 'queued')
      .where('id', '!=', turn.message_id);
    if (ending.state === 'done' && (await waiting.executeTakeFirst())) return false;
    const ended = await trx
      .updateTable('turn')
      .set({
        state: ending.state,
        error: ending.error ?? null,
        end_checkpoint: ending.endCheckpoint ?? null,
        ended_at: new Date(),
      })
      .where('id', '=', turn.id)
      .returningAll()
      .executeTakeFirstOrThrow();
    const undone =
      ending.undoes === undefined
        ? undefined
        : await trx
            .updateTable('turn')
            .set({ state: 'undone' })
            .where('id', '=', ending.undoes)
            .returningAll()
            .executeTakeFirst();
    const unheard = await trx
      .updateTable('message')
      .set({ outcome: 'ignored', outcome_detail: `the turn ended first (${ending.state})` })
      .where('id', 'in', waiting)
      .returning(['conversation_id', 'inbound'])
      .execute();
    for (const { conversation_id, inbound } of unheard) {
      if (inbound.reactTo) await outbox.react(trx, conversation_id, inbound.reactTo, 'failed');
    }
    await trx.updateTable('message').set({ outcome: 'answered' }).where('id', '=', turn.message_id).execute();
    await showTurn(trx, outbox, ended, run);
    await outbox.answer(trx, turn.conversation_id, `final:${turn.id}`, ending.card);
    const message = await trx
      .selectFrom('message')
      .select('inbound')
      .where('id', '=', turn.message_id)
      .executeTakeFirst();
    const reaction: Reaction = ending.state === 'done' ? 'done' : 'failed';
    if (message?.inbound.reactTo) {
      await outbox.react(trx, turn.conversation_id, message.inbound.reactTo, reaction);
    }
    for (const each of undone ? [undone, ended] : [ended]) await onTurnEnded?.(trx, each);
    return true;
  });
}

/** The final message of a turn the agent worked on: what was observed, around the model's words. */
export async function finalCard(
  journal: Journal,
  sandbox: Sandbox,
  end: { words: string; stopped?: string | undefined; failed?: string | undefined },
): Promise<{ card: Card; endCheckpoint: string | undefined; failed: string | undefined }> {
  const { endCheckpoint, diffStat, problem } = await observe(journal, sandbox);
  const failed = end.failed ?? problem;
  const card = composeFinal({
    verb: journal.turn.verb,
    words: end.words,
    facts: factsOf(journal.steps),
    diffStat,
    pullRequest:
      journal.run.pull_request_url === null
        ? undefined
        : { number: journal.run.pull_request ?? 0, url: journal.run.pull_request_url },
    stopped: end.stopped,
    failed,
  });
  return { card, endCheckpoint, failed };
}

/** Milliseconds the last look at the workspace may take; a filter that code in it configured may run for ever. */
const OBSERVE_MS = 120_000;

/**
 * What changed in the turn. Code in the sandbox can damage its repository, or make git wait: a turn ends all the same,
 * and says what could not be seen.
 */
async function observe(
  journal: Journal,
  sandbox: Sandbox,
): Promise<{ endCheckpoint?: string; diffStat?: DiffStat; problem?: string }> {
  const signal = AbortSignal.timeout(OBSERVE_MS);
  const limited: Sandbox = {
    ...sandbox,
    pipe: (argv, options) => sandbox.pipe(argv, { ...options, signal }),
  };
  try {
    const endCheckpoint = await git.checkpoint(limited, `end/${journal.turn.id}`);
    const from = journal.turn.checkpoint;
    return from
      ? { endCheckpoint, diffStat: await git.diffStat(limited, { from, to: endCheckpoint }) }
      : { endCheckpoint };
  } catch (error) {
    const damaged = error instanceof SandboxError && MENDABLE.includes(error.code);
    if (!damaged && !signal.aborted) throw error;
    const why = damaged ? error.message : 'git did not end in time.';
    return { problem: `What changed could not be seen; the files are as they are. ${why}` };
  }
}

/** What code in the sandbox can bring about; the others come and go with the sandbox itself. */
const MENDABLE: readonly SandboxErrorCode[] = ['git_failed', 'io_failed', 'too_large'];
