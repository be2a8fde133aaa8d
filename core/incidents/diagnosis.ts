import { randomUUID } from 'node:crypto';
import { type Kysely, sql, type Transaction } from 'kysely';
import { LlmError, type Provider } from '#adapters/llm/llm.ts';
import { structured } from '#adapters/llm/structured.ts';
import type { Logger } from '#observability/log.ts';
import type { Outbox } from '../conversations/outbox.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { checkDiagnosis, type EvidenceSeen } from './check-diagnosis.ts';
import { DIAGNOSIS_SYSTEM, diagnosisPrompt } from './diagnosis-prompt.ts';
import { diagnosisAnswer } from './diagnosis-schema.ts';
import { aroundOnset, deploymentsOf } from './evidence/deployments-seen.ts';
import { gatherEvidence, type Scene, type Source } from './evidence/evidence.ts';
import { type Incident, moveIncident, showIncident } from './incidents.ts';

/** What was before an incident is looked at this far back. */
const BEFORE_MS = 30 * 60_000;
const SOURCE_TIMEOUT_MS = 20_000;
const MAX_OUTPUT_TOKENS = 4096;

export interface DiagnosisDeps {
  db: Kysely<Schema>;
  outbox: Outbox;
  /** In the order their evidence is numbered. */
  sources: readonly Source[];
  /** undefined: no model is configured. */
  model: { provider: Provider; name: string } | undefined;
  redact: (text: string) => string;
  /** In the transaction that writes a diagnosis, once it stands. */
  onDiagnosed?: ((trx: Transaction<Schema>, incidentId: string) => Promise<void>) | undefined;
  /** Milliseconds. */
  sourceTimeoutMs?: number | undefined;
  log: Logger;
}

export interface Diagnosis {
  /** The job: gathers evidence once, asks the model once, and writes down what stands. Throws what is worth a retry. */
  advance(incidentId: string, signal: AbortSignal): Promise<void>;
  /** The job was retried in vain: people are told. */
  giveUp(incidentId: string, error: string): Promise<void>;
}

/** Another worker has taken the incident; this one must let go without a word. */
class Superseded extends Error {
  override readonly name = 'Superseded';
}

/** From an incident to its diagnosis. The incident's row says where it stands, and its epoch whose it is. */
export function createDiagnosis(deps: DiagnosisDeps): Diagnosis {
  const { db, outbox, model, log } = deps;

  async function advance(incidentId: string, signal: AbortSignal): Promise<void> {
    const incident = await takeIncident(incidentId);
    if (!incident) return;
    try {
      if (incident.gathered_at === null) await gather(incident, signal);
      await diagnose(incident, signal);
    } catch (error) {
      if (!(error instanceof Superseded)) throw error;
      log.info({ incident: incidentId, epoch: incident.epoch }, 'another worker diagnoses this incident');
    }
  }

  const takeIncident = (incidentId: string): Promise<Incident | undefined> =>
    db.transaction().execute(async (trx) => {
      const taken = await trx
        .updateTable('incident')
        .set({ epoch: sql`epoch + 1`, state: 'diagnosing' })
        .where('id', '=', incidentId)
        .where('state', 'in', ['open', 'diagnosing'])
        .returningAll()
        .executeTakeFirst();
      if (taken) await showIncident(trx, outbox, incidentId);
      return taken;
    });

  /** Writes if the incident is still this worker's, and shows what became of it. */
  async function write(
    incident: Incident,
    change: (trx: Transaction<Schema>) => Promise<void>,
  ): Promise<void> {
    await db.transaction().execute(async (trx) => {
      const now = await trx
        .selectFrom('incident')
        .select(['epoch', 'state'])
        .where('id', '=', incident.id)
        .forNoKeyUpdate()
        .executeTakeFirstOrThrow();
      if (now.epoch !== incident.epoch || now.state !== 'diagnosing') throw new Superseded(incident.id);
      await change(trx);
      await showIncident(trx, outbox, incident.id);
    });
  }

  async function gather(incident: Incident, signal: AbortSignal): Promise<void> {
    const scene = await sceneOf(incident);
    const { pieces, notes } = await gatherEvidence(deps.sources, scene, {
      timeoutMs: deps.sourceTimeoutMs ?? SOURCE_TIMEOUT_MS,
      redact: deps.redact,
      log,
      signal,
    });
    await write(incident, async (trx) => {
      for (const [index, { kind, title, text, data }] of pieces.entries())
        await trx
          .insertInto('evidence')
          .values({
            incident_id: incident.id,
            number: index + 1,
            kind,
            title,
            text,
            data: deps.redact(toJson(data)),
          })
          .execute();
      await trx
        .updateTable('incident')
        .set({ gathered_at: new Date(), notes: toJson(notes) })
        .where('id', '=', incident.id)
        .execute();
    });
    log.debug({ incident: incident.id, pieces: pieces.length }, 'evidence stored');
  }

  async function sceneOf(incident: Incident): Promise<Scene> {
    const environment =
      incident.environment_id === null
        ? undefined
        : await db
            .selectFrom('environment')
            .selectAll()
            .where('id', '=', incident.environment_id)
            .executeTakeFirst();
    const deployments = environment ? await deploymentsOf(db, environment.id) : [];
    const onset = incident.began_at;
    return {
      incident,
      project: await db
        .selectFrom('project')
        .selectAll()
        .where('id', '=', incident.project_id)
        .executeTakeFirstOrThrow(),
      app: environment?.host,
      signals: await db
        .selectFrom('signal')
        .selectAll()
        .where('incident_id', '=', incident.id)
        .orderBy('starts_at')
        .orderBy('id')
        .execute(),
      deployments,
      ...aroundOnset(deployments, onset),
      from: new Date(onset.getTime() - BEFORE_MS),
      onset,
      to: new Date(),
    };
  }

  async function diagnose(incident: Incident, signal: AbortSignal): Promise<void> {
    if (!model)
      return withoutDiagnosis(
        incident,
        'No model is configured, so nobody explains the evidence: it is yours to read.',
      );
    const { notes } = await db
      .selectFrom('incident')
      .select('notes')
      .where('id', '=', incident.id)
      .executeTakeFirstOrThrow();
    const evidence: EvidenceSeen[] = await db
      .selectFrom('evidence')
      .select(['number', 'kind', 'title', 'text'])
      .where('incident_id', '=', incident.id)
      .orderBy('number')
      .execute();
    const answer = await ask(model, diagnosisPrompt(incident, evidence, notes), signal);
    if (!answer.ok) return withoutDiagnosis(incident, answer.problem);
    const checked = checkDiagnosis(answer.value, evidence);
    log.debug({ incident: incident.id }, 'the model answered, not noted yet');
    await write(incident, async (trx) => {
      await trx
        .insertInto('diagnosis')
        .values({
          id: randomUUID(),
          incident_id: incident.id,
          root_cause: checked.rootCause,
          category: checked.category,
          confidence: checked.confidence,
          said_confidence: answer.value.confidence,
          cap_reason: checked.capReason,
          claims: toJson(checked.claims),
          dropped: toJson(checked.dropped),
          next_actions: toJson(checked.nextActions),
          model: model.name,
        })
        .execute();
      await finish(trx, incident.id);
      await deps.onDiagnosed?.(trx, incident.id);
    });
    log.info(
      { incident: incident.id, found: checked.rootCause !== null, dropped: checked.dropped.length },
      'an incident was diagnosed',
    );
  }

  const withoutDiagnosis = (incident: Incident, problem: string): Promise<void> =>
    write(incident, async (trx) => {
      await trx.updateTable('incident').set({ problem }).where('id', '=', incident.id).execute();
      await finish(trx, incident.id);
    });

  async function giveUp(incidentId: string, error: string): Promise<void> {
    log.error({ incident: incidentId, error }, 'an incident could not be diagnosed');
    await db.transaction().execute(async (trx) => {
      const problem = `The diagnosis was given up: ${deps.redact(error)}`;
      const given = await trx
        .updateTable('incident')
        .set({ problem, epoch: sql`epoch + 1`, state: 'diagnosing' })
        .where('id', '=', incidentId)
        .where('state', 'in', ['open', 'diagnosing'])
        .executeTakeFirst();
      if (given.numUpdatedRows === 0n) return;
      await finish(trx, incidentId);
      await showIncident(trx, outbox, incidentId);
    });
  }

  return { advance, giveUp };
}

const finish = (trx: Transaction<Schema>, incidentId: string): Promise<boolean> =>
  moveIncident(trx, incidentId, ['diagnosing'], 'diagnosed');

/** Throws what is worth a retry; `problem` is what no retry changes, in words for people. */
async function ask(model: { provider: Provider; name: string }, content: string, signal: AbortSignal) {
  try {
    const answer = await structured(model.provider, {
      model: model.name,
      system: DIAGNOSIS_SYSTEM,
      content,
      name: 'report_diagnosis',
      description: 'Reports what caused the incident, with the evidence for each statement.',
      schema: diagnosisAnswer,
      maxOutputTokens: MAX_OUTPUT_TOKENS,
      signal,
    });
    return answer.ok
      ? answer
      : { ok: false as const, problem: `The model gave no usable diagnosis, twice: ${answer.problem}` };
  } catch (error) {
    if (!(error instanceof LlmError) || error.transient || error.code === 'aborted') throw error;
    return { ok: false as const, problem: `The model could not be asked: ${error.message}` };
  }
}
