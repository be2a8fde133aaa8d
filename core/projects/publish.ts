import type { Kysely, Transaction } from 'kysely';
import { z } from 'zod';
import { type Forge, ForgeError, type Repository } from '#adapters/forge/forge.ts';
import type { Logger } from '#observability/log.ts';
import type { GitTransport } from '#sandbox/git-transport.ts';
import type { Sandbox } from '#sandbox/sandbox.ts';
import * as git from '#sandbox/workspace-git.ts';
import { DeniedPath, type PathPolicy } from '../policy/denied-paths.ts';
import type { Fact, ToolContext } from '../runs/tools/tool.ts';
import type { Run } from '../runs/turns.ts';
import type { Schema } from '../store/schema.ts';
import type { Project } from './projects.ts';

export interface PublishDeps {
  db: Kysely<Schema>;
  forge: Forge | undefined;
  transport: GitTransport;
  log: Logger;
}

/** Whose publication it is, and how it is written down: fenced against another worker that took it. */
export interface RunRecord {
  readonly run: Run;
  write<T>(change: (trx: Transaction<Schema>) => Promise<T>): Promise<T>;
}

const note = z.object({ opens: z.boolean() });

type Published = Extract<Fact, { type: 'publish' }>;

/**
 * Pushes the sandbox's HEAD (or the commit that is asked for) from the core and opens or updates the run's pull request. The forge is asked what is
 * there before anything is made, so a publication cut off anywhere can be repeated. A project born in chat gets its
 * repository first: its initial commits go to the default branch, later runs and turns to a branch of their own.
 */
export async function publish(
  deps: PublishDeps,
  record: RunRecord,
  sandbox: Sandbox,
  project: Project,
  request: { title: string; body: string; sha?: string | undefined },
  policy: PathPolicy,
  intent: ToolContext['intent'],
  signal: AbortSignal,
): Promise<Published> {
  const { forge } = deps;
  if (!forge)
    throw new ForgeError('not_installed', 'No GitHub App is configured, so nothing can be published.');
  const sha = request.sha ?? (await git.head(sandbox));
  if (!sha) throw new ForgeError('invalid', 'There is no commit to publish yet.');
  const repository = await repositoryOf(forge, record, project);
  const { run } = record;
  if (run.branch === repository.defaultBranch && !begins(project, run))
    throw new ForgeError('forbidden', `${run.branch} is the default branch, to which Comio does not push.`);
  await deps.transport.push(sandbox, {
    url: repository.cloneUrl,
    credentials: await forge.credentials(repository),
    branch: run.branch,
    sha,
    inspect: (paths) => {
      const denied = policy.firstDenied(paths);
      if (denied !== undefined) throw new DeniedPath(denied);
    },
    signal,
  });
  deps.log.debug({ sha }, 'pushed, not noted yet');
  await record.write((trx) =>
    trx.updateTable('run').set({ published_sha: sha }).where('id', '=', run.id).execute(),
  );
  run.published_sha = sha;
  const fact: Published = {
    type: 'publish',
    repository: `${repository.owner}/${repository.name}`,
    url: repository.htmlUrl,
    branch: run.branch,
    sha,
  };
  if (run.branch === repository.defaultBranch) return fact;
  const known = run.pull_request !== null;
  // Noted first: after a crash the run may know the pull request, and this step opened it all the same.
  const { opens } = note.safeParse(intent.previous).data ?? { opens: !known };
  if (intent.previous === undefined) await intent.record({ opens });
  const pull = known
    ? { number: run.pull_request ?? 0, url: run.pull_request_url ?? repository.htmlUrl }
    : await forge.openPullRequest(repository, {
        head: run.branch,
        base: repository.defaultBranch,
        title: request.title,
        body: request.body,
      });
  deps.log.debug({ pull: pull.number }, 'pull request open, not noted yet');
  await record.write((trx) =>
    trx
      .updateTable('run')
      .set({ pull_request: pull.number, pull_request_url: pull.url })
      .where('id', '=', run.id)
      .execute(),
  );
  run.pull_request = pull.number;
  run.pull_request_url = pull.url;
  return { ...fact, pullRequest: { number: pull.number, url: pull.url, created: opens } };
}

/** The run a project is born in: what it makes is the default branch's beginning. */
const begins = (project: Project, run: Run): boolean =>
  project.origin === 'created' && run.pull_request === null;

async function repositoryOf(forge: Forge, record: RunRecord, project: Project): Promise<Repository> {
  if (project.forge_owner !== null && project.forge_name !== null) {
    const ref = { owner: project.forge_owner, name: project.forge_name };
    const repository = await forge.repository(ref);
    if (repository) return repository;
    throw new ForgeError(
      'forbidden',
      `The repository ${ref.owner}/${ref.name} is gone or Comio has no access to it.`,
    );
  }
  const repository = await createFor(forge, project);
  await record.write((trx) =>
    trx
      .updateTable('project')
      .set({
        forge_owner: repository.owner,
        forge_name: repository.name,
        clone_url: repository.cloneUrl,
        html_url: repository.htmlUrl,
        default_branch: repository.defaultBranch,
      })
      .where('id', '=', project.id)
      .execute(),
  );
  return repository;
}

/** A name that is taken gets the project's own suffix, which a repetition finds again. */
async function createFor(forge: Forge, project: Project): Promise<Repository> {
  const options = { description: project.description, private: true };
  try {
    return await forge.createRepository(project.name, options);
  } catch (error) {
    if (!(error instanceof ForgeError) || error.code !== 'name_taken') throw error;
    return forge.createRepository(`${project.name}-${project.id.slice(0, 6)}`, options);
  }
}
