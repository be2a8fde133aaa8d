import { type Kysely, sql, type Transaction } from 'kysely';
import { type Forge, ForgeError } from '#adapters/forge/forge.ts';
import type { GitTransport } from '#sandbox/git-transport.ts';
import { type Sandbox, type SandboxDriver, SandboxError } from '#sandbox/sandbox.ts';
import { type Approval, type Approvals, digestOf, isApproved } from '../approvals/approvals.ts';
import { textCard } from '../conversations/card.ts';
import type { DeploymentEvent } from '../events.ts';
import { createPathPolicy, DeniedPath } from '../policy/denied-paths.ts';
import type { Project } from '../projects/projects.ts';
import { publish } from '../projects/publish.ts';
import { Superseded } from '../runs/journal.ts';
import { factsOf } from '../runs/loop.ts';
import type { Proposal } from '../runs/tools/tool.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import type { OnTurnEnded, Run, Turn } from '../runs/turns.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { moveIncident, showIncident } from './incidents.ts';
import { leaveRun } from './leave-run.ts';
import { approvalCard, publishedCard, pullRequestBody } from './remediation-cards.ts';
import {
  contextOf,
  deployedCommit,
  environmentOf,
  incidentOf,
  messageIdOf,
  OPEN,
  projectOf,
  type Remediation,
  turnOf,
} from './remediation-rows.ts';
import {
  COMIO,
  createRemediationStart,
  type RemediationStart,
  type RemediationStartDeps,
} from './remediation-start.ts';
import type { Watch } from './watch.ts';

export interface RemediationDeps extends RemediationStartDeps {
  db: Kysely<Schema>;
  approvals: Approvals;
  driver: SandboxDriver;
  transport: GitTransport;
  forge: Forge | undefined;
  watch: Pick<Watch, 'begin'>;
  deniedPaths: readonly string[];
}

export interface RemediationService extends RemediationStart {
  /** In the transaction that ends a turn. */
  onTurnEnded: OnTurnEnded;
  /** In the transaction that makes a deployment live. */
  onLive(trx: Transaction<Schema>, event: DeploymentEvent): Promise<void>;
  /** The job `remediation`: takes it as far as it goes. Throws what is worth a retry. */
  advance(remediationId: string, signal: AbortSignal): Promise<void>;
  /** The job was retried in vain. */
  giveUp(remediationId: string, error: string): Promise<void>;
}

/** Where GitHub or git could not be asked for the length of a job's retries. */
const LOOK_AGAIN_MS = 10 * 60_000;

/**
 * From the start of a fix to its pull request. A row says where it stands: the run works on it, people are asked, it is
 * published, it waits for its deployment; then the watch has it. Every step is one fenced transaction.
 */
export function createRemediation(deps: RemediationDeps): RemediationService {
  const { db, jobs, outbox, approvals, log } = deps;
  const policy = createPathPolicy(deps.deniedPaths, { unasked: true });

  const wake = (trx: Transaction<Schema>, remediationId: string) =>
    jobs.send('remediation', { remediationId }, { trx });

  const onTurnEnded: OnTurnEnded = async (trx, turn) => {
    const remediation = await trx
      .selectFrom('remediation')
      .select('id')
      .where('run_id', '=', turn.run_id)
      .where('state', 'in', [...OPEN])
      .executeTakeFirst();
    if (remediation && turn.message_id === messageIdOf(remediation.id)) await wake(trx, remediation.id);
  };

  async function onLive(trx: Transaction<Schema>, { environmentId }: DeploymentEvent): Promise<void> {
    const waiting = await trx
      .selectFrom('remediation')
      .innerJoin('incident', 'incident.id', 'remediation.incident_id')
      .select('remediation.id')
      .where('incident.environment_id', '=', environmentId)
      .where('remediation.state', '=', 'published')
      .orderBy('remediation.id')
      .execute();
    for (const { id } of waiting) await wake(trx, id);
  }

  async function onDecided(trx: Transaction<Schema>, approval: Approval): Promise<void> {
    const row = await trx
      .selectFrom('remediation')
      .selectAll()
      .where('id', '=', approval.subject_id)
      .where('approval_id', '=', approval.id)
      .where('state', '=', 'proposed')
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (!row) return;
    if (approval.state === 'approved') {
      await trx.updateTable('remediation').set({ state: 'approved' }).where('id', '=', row.id).execute();
      await showIncident(trx, outbox, row.incident_id);
      return wake(trx, row.id);
    }
    const rejected = approval.state === 'rejected';
    const by = approval.decided_by?.name ?? 'someone';
    const error = rejected
      ? `Rejected by ${by}${approval.reason ? `: ${oneLine(approval.reason, 300)}` : '.'}`
      : 'Nobody decided on the proposed fix in time.';
    await end(trx, row, {
      state: rejected ? 'rejected' : 'failed',
      error,
      said: rejected ? 'The fix was rejected' : 'The fix was not decided on',
    });
  }

  /** Ends it without a fix. `said`: the title of a message of its own. */
  async function end(
    trx: Transaction<Schema>,
    row: Remediation,
    { state, error, said }: { state: 'rejected' | 'failed'; error: string; said?: string },
  ): Promise<void> {
    await trx
      .updateTable('remediation')
      .set({ state, error, ended_at: new Date() })
      .where('id', '=', row.id)
      .execute();
    await moveIncident(trx, row.incident_id, ['fixing', 'waiting'], 'diagnosed');
    const { conversation_id } = await incidentOf(trx, row.incident_id);
    await leaveRun(trx, conversation_id, row.run_id);
    await showIncident(trx, outbox, row.incident_id);
    if (said === undefined) return;
    const card = textCard(said, 'warning', `${error} "Try a fix" on the incident's card begins anew.`);
    await outbox.answer(trx, conversation_id, `remediation:${row.id}:ended`, card);
  }

  /** Takes it: from here on the writes of every other worker fail. */
  const take = (id: string): Promise<Remediation | undefined> =>
    db
      .updateTable('remediation')
      .set({ epoch: sql`epoch + 1` })
      .where('id', '=', id)
      .where('state', 'in', [...OPEN])
      .returningAll()
      .executeTakeFirst();

  const writer =
    (row: Remediation) =>
    <T>(change: (trx: Transaction<Schema>) => Promise<T>): Promise<T> =>
      db.transaction().execute(async (trx) => {
        // The conversation first, as whoever decides a message does.
        await trx
          .selectFrom('conversation')
          .innerJoin('incident', 'incident.conversation_id', 'conversation.id')
          .select('conversation.id')
          .where('incident.id', '=', row.incident_id)
          .forNoKeyUpdate('conversation')
          .execute();
        // Before anything is shown: whoever takes in signals holds it when the outbox is written.
        await trx
          .selectFrom('incident')
          .select('id')
          .where('id', '=', row.incident_id)
          .forNoKeyUpdate()
          .execute();
        const now = await trx
          .selectFrom('remediation')
          .select(['epoch', 'state'])
          .where('id', '=', row.id)
          .forNoKeyUpdate()
          .executeTakeFirstOrThrow();
        if (now.epoch !== row.epoch || now.state !== row.state)
          throw new Superseded(`remediation ${row.id} was taken over`);
        return change(trx);
      });

  async function advance(remediationId: string, signal: AbortSignal): Promise<void> {
    const row = await take(remediationId);
    if (!row) return;
    try {
      await step(row, signal);
    } catch (error) {
      if (error instanceof Superseded) return;
      throw error;
    }
  }

  async function step(row: Remediation, signal: AbortSignal): Promise<void> {
    const write = writer(row);
    const turn = await turnOf(db, row);
    if (turn.state === 'undone')
      return write(async (trx) => {
        await approvals.withdraw(trx, 'remediation', row.id, 'The change was undone.');
        await end(trx, row, { state: 'failed', error: 'The change was undone.' });
      });
    switch (row.state) {
      case 'working':
        return concluded(row, turn);
      case 'approved':
        return publishFix(row, signal);
      case 'published':
        return lookForDeployment(row, signal);
    }
  }

  /** The run's turn has ended: what it proposed is asked, or why there is nothing is said. */
  async function concluded(row: Remediation, turn: Turn): Promise<void> {
    if (turn.state === 'queued' || turn.state === 'working') return;
    const steps = await db
      .selectFrom('step')
      .selectAll()
      .where('turn_id', '=', turn.id)
      .orderBy('seq')
      .execute();
    const facts = factsOf(steps);
    const found = facts.findLast((fact) => fact.type === 'proposal');
    const write = writer(row);
    if (found?.type !== 'proposal' || turn.state === 'stopped') {
      const reproduced = facts.some(({ type }) => type === 'reproduction');
      const error = whyNothing(turn, reproduced);
      return write((trx) => end(trx, row, { state: 'failed', error }));
    }
    const { type: _, ...proposal } = found;
    await write(async (trx) => {
      const { incident, run, rootCause } = await contextOf(trx, row);
      const repository = await projectOf(trx, incident.project_id);
      const asked = await approvals.ask(trx, {
        subject: 'remediation',
        subjectId: row.id,
        digest: digestFor(repository, run, proposal),
        card: approvalCard({ proposal, rootCause, incidentTitle: incident.title }, run.branch),
        conversationId: incident.conversation_id,
        requiredRole: 'operator',
        requestedBy: COMIO,
        fourEyes: false,
      });
      await trx
        .updateTable('remediation')
        .set({ state: 'proposed', proposal: toJson(proposal), approval_id: asked.id })
        .where('id', '=', row.id)
        .execute();
      await moveIncident(trx, incident.id, ['fixing', 'diagnosed'], 'waiting');
      await showIncident(trx, outbox, incident.id);
    });
    log.debug({ remediation: row.id }, 'the fix waits for people');
  }

  async function publishFix(row: Remediation, signal: AbortSignal): Promise<void> {
    const write = writer(row);
    const fail = (error: string) =>
      write((trx) => end(trx, row, { state: 'failed', error, said: 'The fix could not be published' }));
    const { incident, run, rootCause } = await contextOf(db, row);
    const project = await projectOf(db, incident.project_id);
    const sandbox = await openSandbox(run);
    const { proposal } = row;
    if (!sandbox || !proposal) return fail('The sandbox with the change is gone.');
    if (!(await isApproved(db, row.approval_id ?? '', digestFor(project, run, proposal))))
      return fail('What would be published is not what was approved.');
    const evidence = await db
      .selectFrom('evidence')
      .select(['number', 'title'])
      .where('incident_id', '=', incident.id)
      .orderBy('number')
      .execute();
    const body = pullRequestBody(
      { proposal, rootCause, incidentTitle: incident.title },
      { id: incident.id, evidence },
    );
    try {
      const request = { title: proposal.title, body, sha: proposal.sha };
      const note = { previous: undefined, record: async () => undefined };
      await publish(deps, { run, write }, sandbox, project, request, policy, note, signal);
    } catch (error) {
      if (!signal.aborted && isExpected(error)) return fail(error.message);
      throw error;
    }
    await write(async (trx) => {
      await trx.updateTable('remediation').set({ state: 'published' }).where('id', '=', row.id).execute();
      await moveIncident(trx, incident.id, ['fixing', 'diagnosed'], 'waiting');
      const environment = await environmentOf(trx, incident.environment_id);
      const pull = { number: run.pull_request ?? 0, url: run.pull_request_url ?? project.html_url ?? '' };
      const card = publishedCard(pull, environment?.name ?? 'staging');
      await outbox.answer(trx, incident.conversation_id, `remediation:${row.id}:published`, card);
      await showIncident(trx, outbox, incident.id);
      // What went live while it was published was not looked at.
      await wake(trx, row.id);
    });
    log.info({ remediation: row.id, pull: run.pull_request }, 'the fix is a pull request');
  }

  async function openSandbox({ sandbox_id }: Run): Promise<Sandbox | undefined> {
    const sandbox = sandbox_id === null ? undefined : await deps.driver.open(sandbox_id);
    if (sandbox && (await sandbox.state()) === 'stopped') await sandbox.start();
    return sandbox;
  }

  /** Whether what is live now has the fix: its merge, or the commit itself. */
  async function lookForDeployment(row: Remediation, signal: AbortSignal): Promise<void> {
    const { incident, run } = await contextOf(db, row);
    const project = await projectOf(db, incident.project_id);
    const environment = await environmentOf(db, incident.environment_id);
    const commit = await deployedCommit(db, incident.environment_id);
    const deploymentId = environment?.live_deployment_id;
    const { clone_url: url, forge_owner: owner, forge_name: name } = project;
    if (!deps.forge || !row.proposal || !commit || !deploymentId || !url || !owner || !name) return;
    const ref = { owner, name };
    const pull = run.pull_request === null ? undefined : await deps.forge.pullRequest(ref, run.pull_request);
    const credentials = await deps.forge.credentials(ref);
    for (const ancestor of [pull?.mergeSha, row.proposal.sha]) {
      if (ancestor === undefined) continue;
      if (!(await deps.transport.contains({ url, credentials, signal, ancestor, commit }))) continue;
      await writer(row)(async (trx) => {
        await trx
          .updateTable('remediation')
          .set({ state: 'deployed', ended_at: new Date() })
          .where('id', '=', row.id)
          .execute();
        await deps.watch.begin(trx, { incidentId: incident.id, deploymentId, remediationId: row.id });
        await moveIncident(trx, incident.id, ['waiting', 'diagnosed', 'fixing', 'unresolved'], 'watching');
        await showIncident(trx, outbox, incident.id);
      });
      log.debug({ remediation: row.id }, 'the fix is live, and watched');
      return;
    }
    if (pull?.state === 'closed')
      await writer(row)((trx) =>
        end(trx, row, { state: 'failed', error: `Pull request #${pull.number} was closed without a merge.` }),
      );
  }

  async function giveUp(remediationId: string, error: string): Promise<void> {
    log.error({ remediation: remediationId, error }, 'a fix was given up');
    const row = await take(remediationId);
    if (!row) return;
    // It waits for its deployment, which may be live already: nothing else would look again.
    if (row.state === 'published')
      return jobs.send('remediation', { remediationId }, { afterMs: LOOK_AGAIN_MS });
    await writer(row)((trx) =>
      end(trx, row, {
        state: 'failed',
        error: 'Something broke inside Comio.',
        said: 'The fix was given up',
      }),
    );
  }

  approvals.onDecided('remediation', onDecided);
  return {
    ...createRemediationStart(deps),
    onTurnEnded,
    onLive,
    advance,
    giveUp,
  };
}

/** Failures to publish that a retry would only repeat, and that have a sentence for people. */
const isExpected = (error: unknown): error is Error =>
  error instanceof DeniedPath ||
  (error instanceof ForgeError && error.code !== 'unavailable') ||
  (error instanceof SandboxError && error.code === 'git_failed');

/** Everything that happens once it is approved. */
const digestFor = (
  { clone_url }: Pick<Project, 'clone_url'>,
  { branch }: Pick<Run, 'branch'>,
  { base, sha, diffDigest, title, body }: Proposal,
): string => digestOf({ repository: clone_url, branch, base, sha, diff: diffDigest, title, body });

function whyNothing(turn: Turn, reproduced: boolean): string {
  if (turn.state === 'stopped') return `Stopped by ${turn.stop_requested_by ?? 'someone'}.`;
  if (turn.state === 'failed') return turn.error ?? 'The run failed.';
  return reproduced
    ? 'The fault was reproduced, but no fix was found.'
    : 'The fault could not be reproduced, so no fix is proposed.';
}
