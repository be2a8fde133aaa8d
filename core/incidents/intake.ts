import { randomUUID } from 'node:crypto';
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import type { BusEvent } from '#adapters/events/bus.ts';
import type { Logger } from '#observability/log.ts';
import type { Outbox } from '../conversations/outbox.ts';
import type { EnvironmentTable } from '../deployments/tables.ts';
import { alertEvent, findingEvent } from '../events.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { type Incident, showIncident } from './incidents.ts';
import { beQuiet } from './settle.ts';
import type { IncidentTable, SignalTable } from './tables.ts';

/** Signals of an environment that begin this close to each other are one incident. */
export const TOGETHER_MS = 10 * 60_000;
/** What ended by itself and comes again within this is the same incident; what waits for people likewise. */
const AGAIN_MS = 10 * 60_000;

export type Taken =
  | 'opened'
  | 'joined'
  /** An incident that had ended by itself goes on. */
  | 'reopened'
  /** Delivered again. */
  | 'known'
  | 'over'
  /** Over before it was heard of: nobody is told. */
  | 'late'
  /** No environment is called what its `app` label says. */
  | 'unknown'
  /** There is nowhere to say it: nothing was ever deployed there. */
  | 'homeless';

type Severity = IncidentTable['severity'];
type Environment = Selectable<EnvironmentTable>;

/** What an alert and a finding have in common. */
interface Signal {
  kind: SignalTable['kind'];
  fingerprint: string;
  title: string;
  query: string | null;
  labels: Record<string, string>;
  payload: unknown;
  startsAt: Date;
  endsAt: Date | null;
  severity: Severity;
}

export interface Intake {
  /** Handles an event of the topic `alert`. Throws what is worth a retry. */
  alert(event: BusEvent): Promise<void>;
  /** Handles an event of the topic `finding`. Throws what is worth a retry. */
  finding(event: BusEvent): Promise<void>;
}

/** Makes incidents of signals: each signal is a row under its identity, so whatever brings it again changes nothing. */
export function createIntake(deps: {
  db: Kysely<Schema>;
  jobs: Sender;
  outbox: Outbox;
  /** Milliseconds without a signal after which an incident nobody fixed is over. */
  quietMs: number;
  onSignal: (kind: SignalTable['kind'], taken: Taken) => void;
  log: Logger;
}): Intake {
  const { db, jobs, outbox, log } = deps;

  async function take(signal: Signal, where: { id: string } | { host: string | undefined }): Promise<void> {
    const taken = await db.transaction().execute(async (trx): Promise<Taken> => {
      const environment = await lockEnvironment(trx, where);
      if (!environment) return 'unknown';
      return takeIn(trx, signal, environment);
    });
    deps.onSignal(signal.kind, taken);
    const about = { ...where, fingerprint: signal.fingerprint, title: signal.title };
    if (taken === 'unknown')
      log.warn(about, 'a signal is about no environment known here: its `app` label names none');
    else if (taken === 'homeless')
      log.warn(about, 'a signal is about an environment nothing was deployed to');
    else log.info({ ...about, taken }, 'a signal was taken in');
  }

  async function takeIn(trx: Transaction<Schema>, signal: Signal, environment: Environment): Promise<Taken> {
    const id = `${signal.kind}:${signal.fingerprint}:${signal.startsAt.toISOString()}`;
    const known = await trx
      .updateTable('signal')
      .set({ seen: sql`seen + 1` })
      .where('id', '=', id)
      .returning(['incident_id', 'ends_at'])
      .executeTakeFirst();
    if (known) {
      // What is over stays over: a "firing" that was overtaken says nothing new.
      if (known.ends_at || !signal.endsAt) return 'known';
      await trx.updateTable('signal').set({ ends_at: signal.endsAt }).where('id', '=', id).execute();
      if (known.incident_id === null) return 'known';
      const isQuiet = await beQuiet(trx, known.incident_id);
      await showIncident(trx, outbox, known.incident_id);
      if (isQuiet)
        await jobs.send('incident', { incidentId: known.incident_id }, { trx, afterMs: deps.quietMs });
      return 'over';
    }
    const incident = signal.endsAt ? undefined : await incidentFor(trx, signal, environment);
    if (!signal.endsAt && !incident) return 'homeless';
    await trx
      .insertInto('signal')
      .values({
        id,
        incident_id: incident?.id ?? null,
        kind: signal.kind,
        fingerprint: signal.fingerprint,
        title: signal.title,
        query: signal.query,
        labels: toJson(signal.labels),
        payload: toJson(signal.payload),
        starts_at: signal.startsAt,
        ends_at: signal.endsAt,
      })
      .execute();
    if (!incident) return 'late';
    await showIncident(trx, outbox, incident.id);
    if (incident.taken === 'opened') await jobs.send('incident', { incidentId: incident.id }, { trx });
    return incident.taken;
  }

  async function incidentFor(
    trx: Transaction<Schema>,
    signal: Signal,
    environment: Environment,
  ): Promise<{ id: string; taken: 'opened' | 'joined' | 'reopened' } | undefined> {
    const before =
      (await openIncident(trx, signal, environment)) ?? (await endedJustNow(trx, signal, environment));
    if (before) {
      const { id, state, settled_from } = before;
      await trx
        .updateTable('incident')
        .set({
          began_at: new Date(Math.min(signal.startsAt.getTime(), before.began_at.getTime())),
          severity: worse(before.severity, signal.severity),
          quiet_since: null,
          state: settled_from ?? state,
          settled_from: null,
          ended_at: null,
        })
        .where('id', '=', id)
        .execute();
      return { id, taken: before.ended_at ? 'reopened' : 'joined' };
    }
    const conversation = await homeOf(trx, environment);
    if (!conversation) return undefined;
    const id = randomUUID();
    await trx
      .insertInto('incident')
      .values({
        id,
        project_id: environment.project_id,
        environment_id: environment.id,
        fingerprint: signal.fingerprint,
        title: signal.title,
        severity: signal.severity,
        state: 'open',
        conversation_id: conversation,
        began_at: signal.startsAt,
      })
      .execute();
    return { id, taken: 'opened' };
  }

  return {
    async alert({ payload }) {
      const alert = alertEvent.parse(payload);
      const { labels, annotations } = alert;
      await take(
        {
          kind: 'alert',
          fingerprint: alert.fingerprint,
          title: annotations.summary ?? labels.alertname ?? 'Alert',
          query: queryOf(alert.generatorUrl),
          labels,
          payload: alert,
          startsAt: new Date(alert.startsAt),
          endsAt: alert.status === 'resolved' ? new Date(alert.endsAt ?? Date.now()) : null,
          severity: severityOf(labels.severity),
        },
        { host: labels.app },
      );
    },

    async finding({ payload }) {
      const finding = findingEvent.parse(payload);
      await take(
        {
          kind: 'finding',
          fingerprint: finding.fingerprint,
          title: finding.title,
          query: finding.query,
          labels: finding.labels,
          payload: finding,
          startsAt: new Date(finding.startsAt),
          endsAt: finding.status === 'resolved' ? new Date(finding.endsAt ?? Date.now()) : null,
          severity: 'warning',
        },
        { id: finding.environmentId },
      );
    },
  };
}

/** One signal of an environment is taken in at a time, over all processes: two at once would open two incidents. */
const lockEnvironment = (
  trx: Transaction<Schema>,
  where: { id: string } | { host: string | undefined },
): Promise<Environment | undefined> =>
  trx
    .selectFrom('environment')
    .selectAll()
    .where((eb) => ('id' in where ? eb('id', '=', where.id) : eb('host', '=', where.host ?? '')))
    .forNoKeyUpdate()
    .executeTakeFirst();

/**
 * The open incident this belongs to: it has the same fault already, or began at about the same time. While a fix is
 * worked on the incident is open, however long that takes, so the same fault opens no second; but a pull request that
 * nobody merges does not hold the incident's name for a fault that was over, and comes again later.
 */
const openIncident = (
  trx: Transaction<Schema>,
  signal: Signal,
  environment: Environment,
): Promise<Incident | undefined> =>
  trx
    .selectFrom('incident')
    .selectAll()
    .where('environment_id', '=', environment.id)
    .where('ended_at', 'is', null)
    .where((eb) =>
      eb.or([
        eb.between(
          'began_at',
          new Date(signal.startsAt.getTime() - TOGETHER_MS),
          new Date(signal.startsAt.getTime() + TOGETHER_MS),
        ),
        eb.and([
          hasFault(signal),
          eb.or([
            eb('state', '!=', 'waiting'),
            eb('quiet_since', 'is', null),
            eb('quiet_since', '>', new Date(Date.now() - AGAIN_MS)),
          ]),
        ]),
      ]),
    )
    .orderBy(hasFault(signal), 'desc')
    .orderBy('opened_at', 'desc')
    .forNoKeyUpdate()
    .executeTakeFirst();

/** The environment's newest incident, where its signals alone ended it a short while ago and this is one of them again. */
async function endedJustNow(
  trx: Transaction<Schema>,
  signal: Signal,
  environment: Environment,
): Promise<Incident | undefined> {
  const newest = await trx
    .selectFrom('incident')
    .selectAll()
    .select(hasFault(signal).as('same'))
    .where('environment_id', '=', environment.id)
    .orderBy('opened_at', 'desc')
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (!newest?.same || newest.settled_from === null || newest.ended_at === null) return undefined;
  return Date.now() - newest.ended_at.getTime() < AGAIN_MS ? newest : undefined;
}

/**
 * Whether an incident has a signal of the same fault: of the same fingerprint, or of the same alert rule, whose
 * fingerprint may have an instance in it that the next deployment replaces.
 */
const hasFault = ({ fingerprint, labels }: Signal) =>
  sql<boolean>`exists (
    select from signal where signal.incident_id = incident.id and (
      signal.fingerprint = ${fingerprint} or signal.labels ->> 'alertname' = ${labels.alertname ?? null}::text
    )
  )`;

/** The conversation the live deployment was asked from; without one, the last that deployed here. */
async function homeOf(trx: Transaction<Schema>, environment: Environment): Promise<string | undefined> {
  const deployment = await trx
    .selectFrom('deployment')
    .select('conversation_id')
    .where('environment_id', '=', environment.id)
    .orderBy((eb) => eb('id', 'is not distinct from', environment.live_deployment_id), 'desc')
    .orderBy('created_at', 'desc')
    .executeTakeFirst();
  return deployment?.conversation_id;
}

const RANK: Readonly<Record<Severity, number>> = { info: 0, warning: 1, critical: 2 };
const worse = (a: Severity, b: Severity): Severity => (RANK[a] >= RANK[b] ? a : b);

const severityOf = (label: string | undefined): Severity => {
  const word = label?.toLowerCase() ?? '';
  if (['critical', 'page', 'error', 'high'].includes(word)) return 'critical';
  return ['info', 'none', 'low'].includes(word) ? 'info' : 'warning';
};

/** Prometheus links to the graph of the rule's expression. */
const queryOf = (generatorUrl: string | null): string | null =>
  (generatorUrl && URL.parse(generatorUrl)?.searchParams.get('g0.expr')) || null;
