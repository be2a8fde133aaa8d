import { z } from 'zod';
import { ForgeError } from '#adapters/forge/forge.ts';
import { status } from '#sandbox/workspace-git.ts';
import { DeniedPath } from '../../policy/denied-paths.ts';
import { refusedPath } from './denied.ts';
import { failure, success } from './result.ts';
import { defineTool, type ToolContext, type ToolResult } from './tool.ts';
import { oneLine } from './truncate.ts';

const FAILED = 'Could not publish';

export const publish = defineTool({
  name: 'publish',
  description:
    'Pushes the commits and opens the pull request, or updates it if it is open; a project without a repository gets one. Commit everything first.',
  schema: z.strictObject({
    title: z.string().trim().min(1).max(200).describe('Of the pull request: what it does, in one line.'),
    body: z.string().max(20_000).describe('Why and how, for the reviewers, in Markdown.'),
  }),
  effect: 'write',
  title: () => 'Publishing',
  async execute({ title, body }, context) {
    const { head, files } = await status(context.sandbox);
    if (head === undefined) {
      return failure(
        'Nothing is committed yet. Commit with git_commit, then publish again.',
        `${FAILED}: no commit`,
      );
    }
    if (files.length > 0) {
      const shown = files.slice(0, 10).map(({ path }) => path);
      const more = files.length > 10 ? ` and ${files.length - 10} more` : '';
      return failure(
        `Not everything is committed: ${shown.join(', ')}${more}. Commit it with git_commit, or add what must not be kept to .gitignore; then publish again.`,
        `${FAILED}: not everything is committed`,
      );
    }
    return await push(context, oneLine(title, 200), body);
  },
});

async function push(context: ToolContext, title: string, body: string): Promise<ToolResult> {
  try {
    const fact = await context.publish({ title, body });
    const { pullRequest, repository, branch, sha } = fact;
    const where = `${sha.slice(0, 12)} is on ${repository}, branch ${branch}.`;
    if (pullRequest === undefined)
      return success(`${where} ${fact.url}`, `Published to ${repository}`, [fact]);
    const { number, url, created } = pullRequest;
    return success(
      `${where} Pull request #${number} is ${created ? 'opened' : 'updated'}: ${url}`,
      `${created ? 'Opened' : 'Updated'} pull request #${number}`,
      [fact],
    );
  } catch (error) {
    if (error instanceof DeniedPath) return rewriteFirst(error.path);
    // The forge did not like what the model wrote; everything else is for people to mend.
    if (error instanceof ForgeError && error.code === 'invalid') return failure(error.message, FAILED);
    throw error;
  }
}

/** It is in a commit: one that takes it back would still carry it. */
function rewriteFirst(path: string): ToolResult {
  const refused = refusedPath(path);
  const how =
    'Nothing was pushed. Make the commits again without it (git reset --soft to the commit before them, take the file back, git_commit), then publish again.';
  return { ...refused, content: `${refused.content} ${how}` };
}
