import { z } from 'zod';
import { EMPTY_TREE } from '#sandbox/git-checkpoints.ts';
import { gitText } from '#sandbox/git-command.ts';
import type { Sandbox } from '#sandbox/sandbox.ts';
import { commitAll, diffStat, head, status } from '#sandbox/workspace-git.ts';
import { refusedPath } from './denied.ts';
import { failure, mendable, success } from './result.ts';
import { defineTool, type ToolResult } from './tool.ts';
import { oneLine, truncate } from './truncate.ts';

/** Where HEAD was before; null before the first commit. After a crash it tells whether the commit was made. */
const note = z.object({ before: z.string().nullable() });

export const gitCommit = defineTool({
  name: 'git_commit',
  description:
    'Commits every change in the workspace (what .gitignore names excepted). The first line of the message is its subject: what the change does, in the imperative.',
  schema: z.strictObject({ message: z.string().trim().min(1).max(10_000) }),
  effect: 'write',
  title: ({ message }) => `Committing: ${subjectOf(message)}`,
  execute: ({ message }, { sandbox, intent, author, policy }) => {
    const failed = `Could not commit: ${subjectOf(message)}`;
    return mendable(failed, async () => {
      const now = (await head(sandbox)) ?? null;
      const previous = note.safeParse(intent.previous).data;
      if (previous !== undefined && previous.before !== now) {
        if (now !== null && (await isOurs(sandbox, previous.before, message))) {
          return committed(sandbox, previous.before, now, message);
        }
        return failure('Another commit was made meanwhile; this one was not. Look with git_status.', failed);
      }
      const { files } = await status(sandbox);
      const denied = policy.firstDenied(files.flatMap(({ path, from }) => (from ? [path, from] : [path])));
      if (denied !== undefined) return undoFirst(denied);
      if (previous === undefined) await intent.record({ before: now });
      const sha = await commitAll(sandbox, { message, author });
      if (sha === undefined)
        return failure('There is nothing to commit: no file differs from the last commit.', failed);
      return committed(sandbox, now, sha, message);
    });
  },
});

/** The change is there already, made by a command: committing is all that can still be refused. */
function undoFirst(path: string): ToolResult {
  const refused = refusedPath(path);
  const how =
    'Nothing was committed. Take the change of it back (git checkout, git clean or rm), then commit again.';
  return { ...refused, content: `${refused.content} ${how}` };
}

const subjectOf = (message: string): string => oneLine(message.trim().split('\n')[0] ?? '', 60);

/** HEAD is the one commit on top of `before` that says what ours would. */
async function isOurs(sandbox: Sandbox, before: string | null, message: string): Promise<boolean> {
  const parents = await gitText(sandbox, ['log', '--max-count=1', '--format=%P']);
  const said = await gitText(sandbox, ['log', '--max-count=1', '--format=%B']);
  return parents === (before ?? '') && plain(said) === plain(message);
}

/** git takes white space at line ends and repeated empty lines out of messages. */
const plain = (message: string): string =>
  message
    .replace(/[^\S\n]+$/gm, '')
    .replace(/\n{3,}/g, '\n\n')
    .trim();

async function committed(
  sandbox: Sandbox,
  before: string | null,
  sha: string,
  message: string,
): Promise<ToolResult> {
  const { files } = await diffStat(sandbox, { from: before ?? EMPTY_TREE, to: sha });
  const list = files.map((file) => `${file.path} | +${file.insertions} −${file.deletions}`).join('\n');
  const subject = subjectOf(message);
  return success(truncate(`Committed ${sha.slice(0, 12)}:\n${list}`, 4000), `Committed: ${subject}`, [
    { type: 'commit', sha, subject },
  ]);
}
