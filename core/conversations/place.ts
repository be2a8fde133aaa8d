import type { Kysely } from 'kysely';
import {
  type Forge,
  ForgeError,
  type PullRequest,
  type Repository,
  type RepositoryRef,
} from '#adapters/forge/forge.ts';
import { projectOf } from '../projects/projects.ts';
import type { Schema } from '../store/schema.ts';
import { parseCommand } from './command.ts';
import type { Inbound } from './surface.ts';

/** What a message is about, as far as the network has to be asked for it. */
export interface Place {
  /** The run of the pull request the message was written on, when another thread began it. */
  runId: string | null;
  repository?: Repository | undefined;
  pullRequest?: PullRequest | undefined;
  /** For `import`: what was asked beyond the import. */
  rest: string;
  /** Why the repository named cannot be used, for the person. */
  problem?: string | undefined;
}

const NOWHERE: Place = { runId: null, rest: '' };

/** Asks the forge only for messages that need it: an `import`, or a first word in a repository's issue. */
export async function locate(
  db: Kysely<Schema>,
  forge: Forge | undefined,
  inbound: Inbound,
  conversationId: string,
): Promise<Place> {
  const command = parseCommand(inbound.text, inbound);
  const imports = command.kind === 'command' && command.verb === 'import';
  const conversation = await db
    .selectFrom('conversation')
    .select(['run_id'])
    .where('id', '=', conversationId)
    .executeTakeFirst();
  if (conversation?.run_id) return { ...NOWHERE, runId: conversation.run_id };
  if (!inbound.addressed) return NOWHERE;
  const pull = inbound.repository?.pullRequest;
  if (inbound.repository && pull !== undefined) {
    const runId = await runOfPullRequest(db, inbound.repository, pull);
    if (runId) return { ...NOWHERE, runId };
  }
  const [named, ...rest] = imports ? command.args.split(/\s+/) : [];
  if (!inbound.repository && !named) return NOWHERE;
  if (!forge)
    return { ...NOWHERE, problem: 'No GitHub App is configured, so no repository can be imported.' };
  const ref = named ? forge.parseRepository(named) : inbound.repository;
  if (!ref) return { ...NOWHERE, problem: `"${named}" is not a repository. Write \`import owner/name\`.` };
  // The role was asked for in the repository this was written in; it says nothing about another one.
  if (inbound.repository && !sameRepository(ref, inbound.repository)) {
    const here = `${inbound.repository.owner}/${inbound.repository.name}`;
    const problem = `Here I only work on ${here}. For ${ref.owner}/${ref.name}, ask in one of its own issues.`;
    return { ...NOWHERE, problem };
  }
  try {
    const repository = await forge.repository(ref);
    if (!repository) {
      const problem = `I cannot see ${ref.owner}/${ref.name}. Check the name, and that the GitHub App is installed there.`;
      return { ...NOWHERE, problem };
    }
    const pullRequest = pull === undefined ? undefined : await forge.pullRequest(ref, pull);
    const problem = pullRequest && notOurs(repository, pullRequest);
    if (problem) return { ...NOWHERE, problem };
    return { runId: null, repository, pullRequest, rest: rest.join(' ') };
  } catch (error) {
    if (error instanceof ForgeError && error.code !== 'unavailable')
      return { ...NOWHERE, problem: error.message };
    throw error;
  }
}

const sameRepository = (a: RepositoryRef, b: RepositoryRef): boolean =>
  a.owner.toLowerCase() === b.owner.toLowerCase() && a.name.toLowerCase() === b.name.toLowerCase();

/**
 * Why Comio does not push to a pull request's branch. Of one from a fork only the name is known here, chosen by
 * whoever opened it: it may be that of our default branch.
 */
function notOurs(repository: Repository, pull: PullRequest): string | undefined {
  if (pull.fromFork)
    return `Pull request #${pull.number} comes from a fork. I only work on branches of ${repository.owner}/${repository.name} itself.`;
  return pull.headBranch === repository.defaultBranch
    ? `The branch of pull request #${pull.number} is ${pull.headBranch}, the default branch, to which I do not push. Ask in an issue instead.`
    : undefined;
}

async function runOfPullRequest(
  db: Kysely<Schema>,
  repository: { owner: string; name: string },
  number: number,
): Promise<string | undefined> {
  const project = await projectOf(db, repository);
  if (!project) return undefined;
  const run = await db
    .selectFrom('run')
    .select('id')
    .where('project_id', '=', project.id)
    .where('pull_request', '=', number)
    .executeTakeFirst();
  return run?.id;
}
