import type { Kysely } from 'kysely';
import { z } from 'zod';
import { type Sandbox, SandboxError } from '#sandbox/sandbox.ts';
import * as git from '#sandbox/workspace-git.ts';
import type { Card } from '../conversations/card.ts';
import { textCard } from '../conversations/card.ts';
import type { Schema } from '../store/schema.ts';
import type { Journal } from './journal.ts';
import { gist } from './tools/truncate.ts';
import type { Turn } from './turns.ts';
import { phase } from './workspace.ts';

/** The last turn of the run that changed something and was not undone. */
export const undoable = (db: Kysely<Schema>, runId: string): Promise<Turn | undefined> =>
  db
    .selectFrom('turn')
    .selectAll()
    .where('run_id', '=', runId)
    .where('verb', 'in', ['new', 'edit', 'fix', 'import', 'remediate'])
    // An import that asked for nothing did nothing that could be taken back.
    .where((eb) => eb.or([eb('verb', '!=', 'import'), eb('request', '!=', '')]))
    .where('state', 'in', ['done', 'failed', 'stopped'])
    .where('checkpoint', 'is not', null)
    .orderBy('seq', 'desc')
    .executeTakeFirst();

const nothing = textCard('Nothing to undo', 'neutral', 'No earlier turn in this thread changed anything.');

/** What undoing would change, with the question. */
export async function previewUndo(db: Kysely<Schema>, journal: Journal, sandbox: Sandbox): Promise<Card> {
  const target = await undoable(db, journal.run.id);
  if (!target?.checkpoint) return nothing;
  const now = await git.checkpoint(sandbox, `undo/${journal.turn.id}`);
  const diff = await shownDiff(sandbox, now, target.checkpoint);
  return {
    title: `Undo: ${gist(target.request, 80)}`,
    tone: 'warning',
    blocks: [
      {
        type: 'markdown',
        text: diff
          ? 'Files and conversation go back to before that turn. This is what would change:'
          : 'No file differs from before that turn; the conversation would forget it.',
      },
      ...(diff ? [{ type: 'diff' as const, text: diff }] : []),
    ],
    actions: [
      { id: 'undo-confirm', label: 'Undo', style: 'danger', value: target.id },
      { id: 'undo-keep', label: 'Keep', style: 'default', value: target.id },
    ],
    footer: 'Or answer `undo confirm`. What you have now is kept as a checkpoint either way.',
  };
}

/** Bytes of a diff that a card is made of; each surface shows less. */
const MAX_DIFF = 262_144;

async function shownDiff(sandbox: Sandbox, from: string, to: string): Promise<string> {
  try {
    return await git.diff(sandbox, { from, to, maxBytes: MAX_DIFF });
  } catch (error) {
    if (!(error instanceof SandboxError) || error.code !== 'too_large') throw error;
  }
  const { files, insertions, deletions } = await git.diffStat(sandbox, { from, to });
  const list = files.slice(0, 100).map((file) => `${file.path} | +${file.insertions} -${file.deletions}`);
  return [`${files.length} files, +${insertions} -${deletions}: too much to show`, ...list].join('\n');
}

/**
 * Takes the run back to before its last turn. What was already published is not rewritten: the pull request gets a
 * commit that restores the earlier files. Every part can be repeated; that the target counts as undone is written with
 * this turn's end.
 */
export async function confirmUndo(
  deps: { db: Kysely<Schema>; push: (sha: string) => Promise<void> },
  journal: Journal,
  sandbox: Sandbox,
): Promise<{ card: Card; target?: string; refused?: boolean }> {
  const target = await undoable(deps.db, journal.run.id);
  if (!target?.checkpoint) return { card: nothing };
  switch (await consentTo(target, deps.db, journal.turn)) {
    case 'another':
      return { card: notTheLast, refused: true };
    case 'outdated':
      return { card: await previewUndo(deps.db, journal, sandbox) };
    case 'given':
  }
  const { checkpoint } = target;
  const publishedBefore = journal.run.published_sha;
  const restored = await phase(
    journal,
    'Going back to before that turn',
    async (_, intent) => {
      // Noted before anything changes: what a repetition finds may be restored already.
      const noted = savedNote.safeParse(intent.previous).data;
      const saved = noted?.saved ?? (await git.checkpoint(sandbox, `undo/${journal.turn.id}`));
      if (!noted) await intent.record({ saved });
      const { files, insertions, deletions } = await git.diffStat(sandbox, { from: saved, to: checkpoint });
      await git.restore(sandbox, checkpoint);
      if (files.length === 0) return 'No file differed';
      const count = files.length === 1 ? 'one file' : `${files.length} files`;
      return `Took ${count} back, +${insertions} −${deletions}`;
    },
    { once: true },
  );
  let published = '';
  if (publishedBefore && (hasBegun(journal, PUBLISHING) || !(await buildsOn(sandbox, publishedBefore)))) {
    const outcome = await phase(
      journal,
      PUBLISHING,
      async (_, intent) => {
        const noted = beforeNote.safeParse(intent.previous).data;
        const before = noted?.before ?? publishedBefore;
        if (!noted) await intent.record({ before });
        const sha = await commitUndo(sandbox, before, `Undo "${gist(target.request, 60)}"`);
        await deps.push(sha);
        return sha === before ? UNCHANGED : `Published the undo as ${sha.slice(0, 7)}`;
      },
      { once: true },
    );
    if (outcome !== UNCHANGED)
      published = ' What had been published is taken back by a further commit on the same branch.';
  }
  const card = textCard(`Undone: ${gist(target.request, 80)}`, 'success', `${restored}.${published}`);
  return { card, target: target.id };
}

const notTheLast = textCard(
  'Not the last turn any more',
  'neutral',
  'Nothing was changed. `undo` shows what can be undone now.',
);

/**
 * Whether what is confirmed is what was shown. A button names its turn: pressed twice or late, it means no other one.
 * The words mean what was shown last; where nothing was shown, or something was done since, it is shown now.
 */
async function consentTo(
  target: Turn,
  db: Kysely<Schema>,
  turn: Turn,
): Promise<'given' | 'another' | 'outdated'> {
  const { inbound } = await db
    .selectFrom('message')
    .select('inbound')
    .where('id', '=', turn.message_id)
    .executeTakeFirstOrThrow();
  if (inbound.action) return inbound.action.value === target.id ? 'given' : 'another';
  const shown = await db
    .selectFrom('turn')
    .select('seq')
    .where('run_id', '=', turn.run_id)
    .where('seq', '<', turn.seq)
    .where('verb', 'in', ['undo', 'undo-confirm'])
    .where('state', '=', 'done')
    .orderBy('seq', 'desc')
    .executeTakeFirst();
  return shown === undefined || shown.seq < target.seq ? 'outdated' : 'given';
}

const PUBLISHING = 'Publishing the undo';
const UNCHANGED = 'The published branch already was as before';
const savedNote = z.object({ saved: z.string() });
const beforeNote = z.object({ before: z.string() });

const hasBegun = (journal: Journal, title: string): boolean =>
  journal.steps.some((step) => step.kind === 'phase' && step.title === title);

/** HEAD is `sha` or a commit that contains it. */
async function buildsOn(sandbox: Sandbox, sha: string): Promise<boolean> {
  const head = await git.head(sandbox);
  return head !== undefined && (head === sha || (await git.isAncestor(sandbox, sha, head)));
}

/** The files as they are, as one commit on top of `before`. One that is there already is it: it may have been pushed. */
async function commitUndo(sandbox: Sandbox, before: string, message: string): Promise<string> {
  const head = await git.head(sandbox);
  if (head !== undefined && head !== before && (await buildsOn(sandbox, before))) return head;
  await git.moveHead(sandbox, before);
  const author = { name: 'Comio', email: 'comio@users.noreply.github.com' };
  return (await git.commitAll(sandbox, { message, author })) ?? before;
}
