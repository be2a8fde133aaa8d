import type { Kysely } from 'kysely';
import { type Forge, ForgeError } from '#adapters/forge/forge.ts';
import { LlmError, type Provider } from '#adapters/llm/llm.ts';
import { currentIds, withIds } from '#observability/context.ts';
import type { Logger } from '#observability/log.ts';
import type { Tracing } from '#observability/tracing.ts';
import { type Sandbox, SandboxError } from '#sandbox/sandbox.ts';
import * as git from '#sandbox/workspace-git.ts';
import { type Card, textCard } from '../conversations/card.ts';
import type { Outbox } from '../conversations/outbox.ts';
import { createPathPolicy, DeniedPath, type PathPolicy } from '../policy/denied-paths.ts';
import type { Project } from '../projects/projects.ts';
import { publish } from '../projects/publish.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { type Ending, endTurn, finalCard } from './finish.ts';
import { type Journal, openJournal, type Step, StopRequested, Superseded } from './journal.ts';
import { runLoop, type Signals } from './loop.ts';
import type { Stops } from './stops.ts';
import { type OnTurnEnded, openTurn, type Turn } from './turns.ts';
import { confirmUndo, previewUndo } from './undo.ts';
import { whyUnpublishable } from './unpublishable.ts';
import { isCutOff, phase, prepareWorkspace, type WorkspaceDeps } from './workspace.ts';

export interface EngineDeps extends WorkspaceDeps {
  db: Kysely<Schema>;
  jobs: Sender;
  outbox: Outbox;
  stops: Stops;
  forge: Forge | undefined;
  /** undefined: no model is configured. */
  model: { provider: Provider; name: string } | undefined;
  redact: (text: string) => string;
  maxSteps: number;
  /** Globs; see core/policy/denied-paths.ts. */
  deniedPaths: readonly string[];
  /** In the transaction that ends the turn; `onTurnEnd` comes after it, if the process lives. */
  onTurnEnded?: OnTurnEnded | undefined;
  tracing: Tracing;
  onStepEnd?: (step: Step) => void;
  onTurnEnd?: (turn: Turn) => void;
  log: Logger;
}

export interface Engine {
  /** The job: works on the run's open turns, one after the other. Throws what is worth a retry. */
  advance(runId: string, signal: AbortSignal): Promise<void>;
  /** The job was retried in vain: ends the turn that cannot go on and says so. */
  giveUp(runId: string, error: unknown): Promise<void>;
}

export function createEngine(deps: EngineDeps): Engine {
  const { db } = deps;

  async function advance(runId: string, signal: AbortSignal): Promise<void> {
    for (let turn = await openTurn(db, runId); turn; turn = await openTurn(db, runId)) {
      signal.throwIfAborted();
      try {
        await observed(turn, signal);
      } catch (error) {
        // Another worker has it; whatever is still open is its to go on with.
        if (error instanceof Superseded) return;
        throw error;
      }
    }
  }

  /** What happens in the turn is logged and traced as of the message that asked for it. */
  function observed(turn: Turn, signal: AbortSignal): Promise<void> {
    const { id: turnId, message_id: messageId, verb } = turn;
    // A job goes on with turns that others asked for.
    const { requestId } = currentIds().messageId === messageId ? currentIds() : {};
    const attributes = {
      'comio.turn.id': turnId,
      'comio.run.id': turn.run_id,
      'comio.message.id': messageId,
    };
    return withIds({ turnId, messageId, requestId }, () =>
      deps.tracing.span(`turn ${verb}`, { attributes }, () => work(turnId, signal)),
    );
  }

  async function work(turnId: string, jobSignal: AbortSignal): Promise<void> {
    const journal = await openJournal(deps, turnId);
    using watch = deps.stops.watch(turnId);
    const signals: Signals = { stop: watch.signal, work: AbortSignal.any([watch.signal, jobSignal]) };
    const project = await db
      .selectFrom('project')
      .selectAll()
      .where('id', '=', journal.run.project_id)
      .executeTakeFirstOrThrow();
    try {
      if (journal.turn.stop_requested_at)
        throw new StopRequested(journal.turn.stop_requested_by ?? 'someone');
      await execute(journal, project, signals);
    } catch (error) {
      if (error instanceof Superseded) throw error;
      const turn = await journal.refresh();
      if (turn.stop_requested_at) await stopped(journal, turn.stop_requested_by ?? 'someone');
      else if (isExpected(error)) await failed(journal, error.message);
      else throw error;
    }
    deps.onTurnEnd?.(await journal.refresh());
  }

  const policyOf = ({ turn }: Journal): PathPolicy =>
    createPathPolicy(deps.deniedPaths, { unasked: turn.verb === 'remediate' });

  async function execute(journal: Journal, project: Project, signals: Signals): Promise<void> {
    const { turn } = journal;
    const sandbox = await prepareWorkspace(deps, journal, project, signals.work);
    await workOnBranch(journal, sandbox, project);
    if (turn.verb === 'undo') return simple(journal, await previewUndo(db, journal, sandbox));
    if (turn.verb === 'undo-confirm') {
      const push = (sha: string) => pushUndo(journal, sandbox, project, sha, signals.work);
      const { card, target, refused } = await confirmUndo({ db, push }, journal, sandbox);
      return simple(journal, card, { undoes: target, state: refused ? 'failed' : 'done' });
    }
    // Taken while the model already thinks: only what touches files waits for it.
    const checkpointing = Promise.allSettled([turn.checkpoint === null && takeCheckpoint(journal, sandbox)]);
    const undoable = async (): Promise<void> => {
      const [taken] = await checkpointing;
      if (taken.status === 'rejected') throw taken.reason;
    };
    try {
      if (turn.verb === 'import' && turn.request === '') {
        await undoable();
        return await simple(journal, await importedCard(sandbox, project));
      }
      for (;;) {
        const end = await agent(journal, sandbox, project, signals, undoable);
        const { card, endCheckpoint, failed } = await finalCard(journal, sandbox, end);
        const state = failed === undefined ? 'done' : 'failed';
        if (await endTurn(deps, journal, { state, card, error: failed, endCheckpoint })) return;
      }
    } finally {
      await checkpointing;
    }
  }

  async function takeCheckpoint(journal: Journal, sandbox: Sandbox): Promise<void> {
    const { id } = journal.turn;
    const checkpoint = await git.checkpoint(sandbox, `start/${id}`);
    await journal.write((trx) => trx.updateTable('turn').set({ checkpoint }).where('id', '=', id).execute());
    await journal.refresh();
  }

  async function agent(
    journal: Journal,
    sandbox: Sandbox,
    project: Project,
    signals: Signals,
    undoable: () => Promise<void>,
  ) {
    if (!deps.model) {
      throw new LlmError(
        'auth',
        'No model is configured: set ANTHROPIC_API_KEY, OPENAI_API_KEY or OLLAMA_HOST.',
      );
    }
    const end = await runLoop(
      {
        db,
        provider: deps.model.provider,
        model: deps.model.name,
        redact: deps.redact,
        network: deps.network === 'bridge',
        maxSteps: deps.maxSteps,
        undoable,
        policy: policyOf(journal),
        publish: async (request, intent) => {
          const why = await whyUnpublishable(db, journal.run.id);
          if (why !== undefined) throw new ForgeError('forbidden', why);
          const fresh = await db
            .selectFrom('project')
            .selectAll()
            .where('id', '=', project.id)
            .executeTakeFirstOrThrow();
          return publish(deps, journal, sandbox, fresh, request, policyOf(journal), intent, signals.work);
        },
        log: deps.log,
      },
      journal,
      sandbox,
      project,
      signals,
    );
    const failed =
      end.reason === 'step_limit'
        ? `The limit of ${deps.maxSteps} steps was reached. Say what to do next to go on from here.`
        : undefined;
    return { words: end.words, failed };
  }

  /** A run that began as a new project goes on, once that is published, on a branch of its own. */
  async function workOnBranch(journal: Journal, sandbox: Sandbox, project: Project): Promise<void> {
    const { run, turn } = journal;
    const branch = `comio/${turn.id.slice(0, 8)}`;
    const starting = `Starting branch ${branch}`;
    const due = run.published_sha !== null && run.branch === project.default_branch;
    if ((!due && !isCutOff(journal, starting)) || turn.checkpoint !== null) return;
    await phase(journal, starting, async () => {
      await git.startBranch(sandbox, branch);
      await journal.write((trx) => trx.updateTable('run').set({ branch }).where('id', '=', run.id).execute());
      run.branch = branch;
      return `On branch ${branch}`;
    });
  }

  async function pushUndo(
    journal: Journal,
    sandbox: Sandbox,
    project: Project,
    sha: string,
    signal: AbortSignal,
  ): Promise<void> {
    if (!deps.forge || project.forge_owner === null || project.clone_url === null) return;
    const ref = { owner: project.forge_owner, name: project.forge_name ?? '' };
    const credentials = await deps.forge.credentials(ref);
    const { run } = journal;
    await deps.transport.push(sandbox, {
      url: project.clone_url,
      credentials,
      branch: run.branch,
      sha,
      inspect: (paths) => {
        const denied = policyOf(journal).firstDenied(paths);
        if (denied !== undefined) throw new DeniedPath(denied);
      },
      signal,
    });
    await journal.write((trx) =>
      trx.updateTable('run').set({ published_sha: sha }).where('id', '=', run.id).execute(),
    );
  }

  async function simple(journal: Journal, card: Card, end: Partial<Ending> = {}): Promise<void> {
    // Text that came meanwhile is for the agent, which does not work here: it is told as not heard.
    await endTurn(deps, journal, { state: 'done', card, ...end });
  }

  async function stopped(journal: Journal, by: string): Promise<void> {
    const sandbox = await sandboxOf(journal);
    if (sandbox && journal.turn.checkpoint) {
      const { card, endCheckpoint } = await finalCard(journal, sandbox, { words: '', stopped: by });
      await endTurn(deps, journal, { state: 'stopped', card, endCheckpoint });
      return;
    }
    const card = textCard(`Stopped by ${by}`, 'warning', 'Nothing had been changed yet.');
    await endTurn(deps, journal, { state: 'stopped', card });
  }

  async function failed(journal: Journal, why: string): Promise<void> {
    deps.log.warn({ turn: journal.turn.id, why }, 'turn failed');
    const sandbox = await sandboxOf(journal);
    if (sandbox && journal.turn.checkpoint) {
      const { card, endCheckpoint } = await finalCard(journal, sandbox, { words: '', failed: why });
      await endTurn(deps, journal, { state: 'failed', card, error: why, endCheckpoint });
      return;
    }
    await endTurn(deps, journal, {
      state: 'failed',
      card: textCard('This could not be done', 'danger', why),
      error: why,
    });
  }

  async function sandboxOf(journal: Journal): Promise<Sandbox | undefined> {
    const { sandbox_id } = await db
      .selectFrom('run')
      .select('sandbox_id')
      .where('id', '=', journal.run.id)
      .executeTakeFirstOrThrow();
    if (sandbox_id === null) return undefined;
    const sandbox = await deps.driver.open(sandbox_id);
    return sandbox && (await sandbox.state()) === 'running' ? sandbox : undefined;
  }

  async function giveUp(runId: string, error: unknown): Promise<void> {
    const turn = await openTurn(db, runId);
    if (!turn) return;
    const journal = await openJournal(deps, turn.id);
    deps.log.error({ err: error, turn: turn.id }, 'turn given up');
    await endTurn(deps, journal, {
      state: 'failed',
      card: textCard(
        'Something broke inside Comio',
        'danger',
        `The work so far is kept. Ask again to go on; if it happens again, look in Comio's log for turn \`${turn.id}\`.`,
      ),
      error: 'internal error',
    });
    deps.onTurnEnd?.(await journal.refresh());
    await deps.jobs.send('run', { runId }, { key: runId });
  }

  return { advance, giveUp };
}

/** Failures that a retry of the job would only repeat, and that have a sentence for the person. */
const isExpected = (error: unknown): error is Error =>
  (error instanceof LlmError && error.code !== 'aborted') ||
  error instanceof ForgeError ||
  error instanceof DeniedPath ||
  (error instanceof SandboxError && error.code !== 'driver_unavailable' && error.code !== 'not_running');

async function importedCard(sandbox: Sandbox, project: Project): Promise<Card> {
  const { entries } = await sandbox.files.list('.', { depth: 1, maxEntries: 40 });
  const listing = entries.map((entry) => (entry.type === 'directory' ? `${entry.path}/` : entry.path));
  const head = await git.head(sandbox);
  return {
    title: `Imported ${project.forge_owner}/${project.forge_name}`,
    tone: 'success',
    blocks: [
      {
        type: 'fields',
        fields: [
          { label: 'Branch', value: `\`${project.default_branch}\`` },
          { label: 'Commit', value: head ? `\`${head.slice(0, 7)}\`` : 'none yet' },
        ],
      },
      { type: 'code', text: listing.join('\n') || '(empty)' },
    ],
    actions: [],
    footer: 'Say what to do in this thread: `fix …`, `edit …` or `ask …`.',
  };
}
