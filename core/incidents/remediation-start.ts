import { randomUUID } from 'node:crypto';
import type { Transaction } from 'kysely';
import type { Logger } from '#observability/log.ts';
import { textCard } from '../conversations/card.ts';
import { answer, audit, type Handlers, type Scene, type Verdict } from '../conversations/handler.ts';
import type { Outbox } from '../conversations/outbox.ts';
import type { Person } from '../conversations/surface.ts';
import { showTurn } from '../runs/journal.ts';
import { branchFor, linkRun } from '../runs/start-run.ts';
import { oneLine } from '../runs/tools/truncate.ts';
import { createRun, openTurn, startTurn } from '../runs/turns.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { moveIncident, showIncident } from './incidents.ts';
import { remediationRequest } from './remediation-request.ts';
import {
  diagnosisOf,
  faultyCommit,
  incidentOf,
  messageIdOf,
  type OPEN,
  openRemediation,
  projectOf,
} from './remediation-rows.ts';

export interface RemediationStartDeps {
  jobs: Sender;
  outbox: Outbox;
  /** A diagnosis that blames the code starts to work on a fix. */
  autoFix: boolean;
  log: Logger;
}

/** How a fix begins: by a diagnosis that blames the code, or by a person who presses "Try a fix". */
export interface RemediationStart {
  /** In the transaction that writes a diagnosis. */
  onDiagnosed(trx: Transaction<Schema>, incidentId: string): Promise<void>;
  handlers: Handlers;
}

/** Below this a diagnosis is a guess, and a run on a guess costs more than it finds. */
const MIN_CONFIDENCE = 0.5;
export const COMIO: Person = { id: 'comio', name: 'Comio', claims: [] };

export function createRemediationStart(deps: RemediationStartDeps): RemediationStart {
  const { jobs, outbox, log } = deps;

  async function onDiagnosed(trx: Transaction<Schema>, incidentId: string): Promise<void> {
    const diagnosis = await diagnosisOf(trx, incidentId);
    if (!deps.autoFix || diagnosis?.category !== 'code' || diagnosis.confidence < MIN_CONFIDENCE) return;
    const { problem, waits } = await start(trx, incidentId, COMIO);
    if (problem === undefined) return;
    log.info({ incident: incidentId, problem }, 'no fix is tried');
    if (!waits) return;
    const { conversation_id } = await incidentOf(trx, incidentId);
    const card = textCard('No fix was begun', 'warning', problem);
    await outbox.answer(trx, conversation_id, `incident:${incidentId}:fix-waits`, card);
  }

  /** Makes run and turn; `problem` says in words for people why not, `waits` that they may ask again later. */
  async function start(
    trx: Transaction<Schema>,
    incidentId: string,
    by: Person,
  ): Promise<{ problem?: string; waits?: boolean }> {
    const incident = await trx
      .selectFrom('incident')
      .selectAll()
      .where('id', '=', incidentId)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (!incident || incident.ended_at) return { problem: 'The incident is over.' };
    const open = await openRemediation(trx, incidentId);
    if (open) return { problem: OPEN_WORDS[open.state] };
    const diagnosis = await diagnosisOf(trx, incidentId);
    if (!diagnosis?.root_cause) return { problem: 'There is no diagnosis that names a cause.' };
    const project = await projectOf(trx, incident.project_id);
    const baseSha = await faultyCommit(trx, incident);
    if (baseSha === undefined || project.clone_url === null)
      return {
        problem: 'Nothing of this project is deployed by Comio, so there is no commit to start from.',
      };
    // What people say and stop in the thread stays theirs while it is worked on.
    const { run_id: current } = await trx
      .selectFrom('conversation')
      .select('run_id')
      .where('id', '=', incident.conversation_id)
      .forNoKeyUpdate()
      .executeTakeFirstOrThrow();
    const busy = current === null ? undefined : await openTurn(trx, current);
    if (busy)
      return {
        waits: true,
        problem: `The thread of this incident is at work on "${oneLine(busy.request, 80)}". When that has ended or was stopped, press "Try a fix" on the incident's card.`,
      };
    const id = randomUUID();
    const run = await createRun(trx, {
      projectId: project.id,
      title: `Fix: ${oneLine(diagnosis.root_cause, 80)}`,
      branch: branchFor(`fix ${diagnosis.root_cause}`),
      baseSha,
    });
    await trx
      .insertInto('remediation')
      .values({
        id,
        incident_id: incidentId,
        run_id: run.id,
        base_sha: baseSha,
        state: 'working',
        requested_by: toJson(by),
      })
      .execute();
    await linkRun(trx, incident.conversation_id, run);
    const text = await remediationRequest(trx, { incidentId, rootCause: diagnosis.root_cause, baseSha });
    await moveIncident(trx, incidentId, ['open', 'diagnosing', 'diagnosed', 'unresolved'], 'fixing');
    const { turn } = await startTurn(trx, jobs, {
      runId: run.id,
      conversationId: incident.conversation_id,
      messageId: messageIdOf(id),
      verb: 'remediate',
      text,
      person: COMIO,
    });
    await showTurn(trx, outbox, turn, run);
    await showIncident(trx, outbox, incidentId);
    log.info({ remediation: id, incident: incidentId, base: baseSha }, 'working on a fix');
    return {};
  }

  async function pressed(scene: Scene, incidentId: string): Promise<Verdict> {
    const { trx, conversation, inbound } = scene;
    const incident = await trx
      .selectFrom('incident')
      .select(['project_id', 'conversation_id'])
      .where('id', '=', incidentId)
      .executeTakeFirst();
    const here =
      incident?.conversation_id === conversation.id || incident?.project_id === conversation.project_id;
    const { problem } = here
      ? await start(trx, incidentId, inbound.author)
      : { problem: 'This incident is not of this thread.' };
    if (problem !== undefined) return answer(outbox, scene, textCard('No fix was begun', 'warning', problem));
    await audit(scene, 'remediation.start', incidentId, {});
    return { outcome: 'answered' };
  }

  return {
    onDiagnosed,
    handlers: {
      verbs: {},
      actions: { 'incident-fix': { role: 'operator', handle: (scene, { args }) => pressed(scene, args) } },
    },
  };
}

const OPEN_WORDS: Readonly<Record<(typeof OPEN)[number], string>> = {
  working: 'A fix is being worked on already.',
  proposed: 'A proposed fix waits for approval.',
  approved: 'A fix is being published.',
  published: 'The fix is a pull request already; it waits for its merge and deployment.',
};
