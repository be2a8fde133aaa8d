import type { Kysely, Selectable } from 'kysely';
import type { Forge } from '#adapters/forge/forge.ts';
import type { Logger } from '#observability/log.ts';
import type { GitTransport } from '#sandbox/git-transport.ts';
import type { Sandbox, SandboxDriver, SandboxLimits } from '#sandbox/sandbox.ts';
import * as git from '#sandbox/workspace-git.ts';
import type { ProjectTable, Schema } from '../store/schema.ts';
import type { Journal } from './journal.ts';
import { liveDetail } from './live-detail.ts';
import type { ToolContext } from './tools/tool.ts';

export interface WorkspaceDeps {
  db: Kysely<Schema>;
  driver: SandboxDriver;
  transport: GitTransport;
  forge: Forge | undefined;
  limits: SandboxLimits;
  network: 'none' | 'bridge';
  log: Logger;
}

type Project = Selectable<ProjectTable>;

/**
 * The run's sandbox with its code in it, made or found again: each part looks at what is there before it acts, so it
 * can be interrupted anywhere and called again. What takes time is a step people see.
 */
export async function prepareWorkspace(
  deps: WorkspaceDeps,
  journal: Journal,
  project: Project,
  signal: AbortSignal,
): Promise<Sandbox> {
  const sandbox = await openSandbox(deps, journal, signal);
  const { clone_url: url, forge_owner: owner, forge_name: name, default_branch: base } = project;
  const cloning = `Cloning ${owner}/${name}`;
  if (!isCutOff(journal, cloning) && (await git.isRepository(sandbox))) return sandbox;
  if (url === null || deps.forge === undefined || owner === null) {
    await git.init(sandbox, journal.run.branch);
    return sandbox;
  }
  const { forge } = deps;
  await phase(journal, cloning, async () => {
    const credentials = await forge.credentials({ owner, name: name ?? '' });
    const published = journal.run.published_sha !== null || journal.run.pull_request !== null;
    await deps.transport.cloneInto(sandbox, {
      url,
      credentials,
      ref: published ? journal.run.branch : base,
      commit: published ? undefined : (journal.run.base_sha ?? undefined),
      branch: journal.run.branch,
      signal,
    });
    const head = await git.head(sandbox);
    return `Cloned ${owner}/${name}${head ? ` at ${head.slice(0, 7)}` : ''}`;
  });
  return sandbox;
}

const STARTING = 'Starting the sandbox';

async function openSandbox(deps: WorkspaceDeps, journal: Journal, signal: AbortSignal): Promise<Sandbox> {
  const { run } = journal;
  const known = run.sandbox_id === null ? undefined : await deps.driver.open(run.sandbox_id);
  if (known && !isCutOff(journal, STARTING)) {
    if ((await known.state()) === 'stopped') await known.start();
    return known;
  }
  let sandbox: Sandbox | undefined;
  await phase(journal, STARTING, async (show) => {
    sandbox = await deps.driver.create(
      { key: `run-${run.id}`, limits: deps.limits, network: deps.network, onProgress: show },
      signal,
    );
    const { id } = sandbox;
    await journal.write((trx) =>
      trx.updateTable('run').set({ sandbox_id: id }).where('id', '=', run.id).execute(),
    );
    deps.log.info({ run: run.id, sandbox: id }, 'sandbox ready');
    return 'Sandbox ready';
  });
  if (!sandbox) throw new Error('unreachable: the phase above sets it or throws');
  return sandbox;
}

/** A phase a crash interrupted, perhaps after its effect: it has to be entered again, to be ended. */
export const isCutOff = (journal: Journal, title: string): boolean =>
  journal.steps.some((step) => step.kind === 'phase' && step.title === title && step.state === 'started');

/**
 * A step without a tool: something Comio itself does that people wait for. `work` returns the past-tense line. One cut
 * off by a crash is taken up again rather than shown twice, with what it noted; with `once`, one that was completed is
 * not done again.
 */
export async function phase(
  journal: Journal,
  title: string,
  work: (show: (detail: string) => void, intent: ToolContext['intent']) => Promise<string>,
  options: { once?: boolean } = {},
): Promise<string> {
  const earlier = journal.steps.findLast((step) => step.kind === 'phase' && step.title === title);
  if (options.once && earlier?.state === 'done') return earlier.summary ?? '';
  const step = earlier?.state === 'started' ? earlier : await journal.begin('phase', title, null);
  const live = liveDetail(journal, step);
  let summary: string;
  try {
    summary = await work(live.show, {
      previous: step.intent ?? undefined,
      record: (note) => journal.note(step, note),
    });
    await live.settle();
  } catch (error) {
    await live.settle();
    await journal.end(step, { state: 'failed', summary: `${title}: failed` });
    throw error;
  }
  await journal.end(step, { state: 'done', summary });
  return summary;
}
