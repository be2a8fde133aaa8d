import { randomUUID } from 'node:crypto';
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import { MetricsError, type MetricsSource } from '#adapters/queries/metrics-source.ts';
import type { Logger } from '#observability/log.ts';
import type { Outbox } from '../conversations/outbox.ts';
import { Superseded } from '../runs/journal.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { moveIncident, showIncident } from './incidents.ts';
import type { WatchedSeries, WatchSample, WatchTable } from './tables.ts';
import { watchCard } from './watch-card.ts';
import { type Look, lookAtSeries, watchedSeries } from './watch-series.ts';
import { type Verdict, verdictOf } from './watch-verdict.ts';

type Row = Selectable<WatchTable>;

export interface WatchDeps {
  db: Kysely<Schema>;
  jobs: Sender;
  outbox: Outbox;
  /** undefined: only what the senders of the signals say is known. */
  metrics: MetricsSource | undefined;
  /** Milliseconds between two looks, and of all together. */
  stepMs: number;
  windowMs: number;
  log: Logger;
}

export interface Watch {
  /** In the transaction that finds the fix live. Once for an incident and a deployment. */
  begin(
    trx: Transaction<Schema>,
    about: { incidentId: string; deploymentId: string; remediationId: string },
  ): Promise<void>;
  /** The job `watch`: looks at what is due, and comes back for the next look. */
  advance(watchId: string, signal: AbortSignal): Promise<void>;
  /** The job was retried in vain. */
  giveUp(watchId: string, error: string): Promise<void>;
}

/**
 * A series is back before its alert is said to be over: Alertmanager tells of what changed in a group once in
 * `group_interval`, by default 5 minutes (https://prometheus.io/docs/alerting/latest/configuration/#route).
 */
const SENDER_LAG_MS = 6 * 60_000;

const reportedWords = (titles: readonly string[]): string =>
  `The series are inside, but nobody has said that this is over: ${titles.join(', ')}.`;

/**
 * The time after a fix, in which the series of the incident's signals are looked at again. Looks are at fixed times
 * after the beginning, so a process that was killed looks at those it missed.
 */
export function createWatch(deps: WatchDeps): Watch {
  const { db, jobs, outbox, metrics, log } = deps;

  async function begin(
    trx: Transaction<Schema>,
    {
      incidentId,
      deploymentId,
      remediationId,
    }: { incidentId: string; deploymentId: string; remediationId: string },
  ): Promise<void> {
    const signals = await trx
      .selectFrom('signal')
      .selectAll()
      .where('incident_id', '=', incidentId)
      .orderBy('starts_at')
      .orderBy('id')
      .execute();
    const at = new Date();
    const made = await trx
      .insertInto('watch')
      .values({
        id: randomUUID(),
        incident_id: incidentId,
        deployment_id: deploymentId,
        remediation_id: remediationId,
        series: toJson(watchedSeries(signals, metrics !== undefined)),
        state: 'watching',
        samples: toJson([]),
        step_ms: deps.stepMs,
        until: new Date(at.getTime() + deps.windowMs),
        created_at: at,
      })
      .onConflict((conflict) => conflict.columns(['incident_id', 'deployment_id']).doNothing())
      .returning('id')
      .executeTakeFirst();
    if (made) await jobs.send('watch', { watchId: made.id }, { trx, afterMs: deps.stepMs });
  }

  const take = (id: string): Promise<Row | undefined> =>
    db
      .updateTable('watch')
      .set({ epoch: sql`epoch + 1` })
      .where('id', '=', id)
      .where('state', '=', 'watching')
      .returningAll()
      .executeTakeFirst();

  const write = (row: Row, change: (trx: Transaction<Schema>) => Promise<void>): Promise<void> =>
    db.transaction().execute(async (trx) => {
      const now = await trx
        .selectFrom('watch')
        .select(['epoch', 'state'])
        .where('id', '=', row.id)
        .forNoKeyUpdate()
        .executeTakeFirstOrThrow();
      if (now.epoch !== row.epoch || now.state !== 'watching')
        throw new Superseded(`watch ${row.id} was taken over`);
      await change(trx);
    });

  async function advance(watchId: string, signal: AbortSignal): Promise<void> {
    const row = await take(watchId);
    if (!row) return;
    try {
      await look(row, signal);
    } catch (error) {
      if (error instanceof Superseded) return;
      throw error;
    }
  }

  async function look(row: Row, signal: AbortSignal): Promise<void> {
    if (!(await isStillLive(row.deployment_id))) return cutShort(row);
    const began = row.created_at.getTime();
    const count = Math.max(1, Math.floor((row.until.getTime() - began) / row.step_ms));
    const timeOf = (index: number) => began + (index + 1) * row.step_ms;
    const passed = Math.floor((Date.now() - began) / row.step_ms);
    const due = Array.from({ length: Math.min(count, passed) }, (_, index) => index).slice(
      row.samples.length,
    );
    const times = due.map(timeOf);
    const looks = await Promise.all(row.series.map((series) => lookAt(series, times, row.step_ms, signal)));
    const samples: WatchSample[] = [
      ...row.samples,
      ...times.map((time, index) => ({
        at: new Date(time).toISOString(),
        values: looks.map((series) => series[index]?.value ?? null),
        inside: looks.map((series) => series[index]?.inside ?? null),
      })),
    ];
    if (samples.length >= count) {
      const verdict = verdictOf(row.series, samples);
      const going = verdict.outcome === 'recovered' ? await stillReported(row) : [];
      if (going.length === 0) return conclude(row, samples, verdict);
      const left = row.until.getTime() + SENDER_LAG_MS - Date.now();
      if (left <= 0) return conclude(row, samples, { outcome: 'unknown', words: reportedWords(going) });
      return write(row, async (trx) => {
        await trx
          .updateTable('watch')
          .set({ samples: toJson(samples) })
          .where('id', '=', row.id)
          .execute();
        await jobs.send('watch', { watchId: row.id }, { trx, afterMs: Math.min(left, row.step_ms) });
      });
    }
    await write(row, async (trx) => {
      await trx
        .updateTable('watch')
        .set({ samples: toJson(samples) })
        .where('id', '=', row.id)
        .execute();
      if (times.length > 0) await showIncident(trx, outbox, row.incident_id);
      const afterMs = Math.max(1, timeOf(samples.length) - Date.now());
      await jobs.send('watch', { watchId: row.id }, { trx, afterMs });
    });
    log.debug({ watch: row.id, looks: samples.length }, 'watch looked');
  }

  async function lookAt(
    series: WatchedSeries,
    times: readonly number[],
    stepMs: number,
    signal: AbortSignal,
  ): Promise<Look[]> {
    const { query } = series;
    if (series.kind === 'signal' || query === null || !metrics) {
      const found = await db
        .selectFrom('signal')
        .select('ends_at')
        .where('id', '=', series.signalId)
        .executeTakeFirst();
      const over = found === undefined ? null : found.ends_at !== null;
      return times.map(() => ({ value: null, inside: over }));
    }
    try {
      return await lookAtSeries(metrics, { ...series, query }, times, stepMs, signal);
    } catch (error) {
      if (!(error instanceof MetricsError)) throw error;
      log.warn({ query, error: error.message }, 'a watched series could not be read');
      return times.map(() => ({ value: null, inside: null }));
    }
  }

  /** The faults that go on as far as their senders say, but for findings, whose bands were looked at. */
  async function stillReported(row: Row): Promise<string[]> {
    const signals = await db
      .selectFrom('signal')
      .select(['fingerprint', 'title', 'kind', 'query', 'ends_at'])
      .where('incident_id', '=', row.incident_id)
      .orderBy('starts_at')
      .execute();
    const newest = new Map(signals.map((signal) => [signal.fingerprint, signal]));
    const bands = new Set(row.series.flatMap(({ kind, query }) => (kind === 'band' ? [query] : [])));
    return [...newest.values()]
      .filter(({ ends_at, kind, query }) => !ends_at && (kind === 'alert' || !bands.has(query)))
      .map(({ title }) => title);
  }

  async function conclude(row: Row, samples: WatchSample[], verdict: Verdict): Promise<void> {
    const recovered = verdict.outcome === 'recovered';
    await write(row, async (trx) => {
      await trx
        .updateTable('watch')
        .set({
          samples: toJson(samples),
          state: recovered ? 'recovered' : 'not_recovered',
          result: verdict.words,
          ended_at: new Date(),
        })
        .where('id', '=', row.id)
        .execute();
      await moveIncident(
        trx,
        row.incident_id,
        ['watching', 'waiting', 'diagnosed'],
        recovered ? 'resolved' : 'unresolved',
      );
      await say(trx, row, samples, verdict);
    });
    log.info({ watch: row.id, outcome: verdict.outcome, looks: samples.length }, 'the watch is over');
  }

  async function say(
    trx: Transaction<Schema>,
    row: Row,
    samples: WatchSample[],
    said: Verdict & { next?: string },
  ): Promise<void> {
    const { conversation_id, began_at, environment } = await trx
      .selectFrom('incident')
      .leftJoin('environment', 'environment.id', 'incident.environment_id')
      .select(['incident.conversation_id', 'incident.began_at', 'environment.name as environment'])
      .where('incident.id', '=', row.incident_id)
      .executeTakeFirstOrThrow();
    const card = watchCard({
      ...said,
      series: row.series,
      samples,
      stepMs: row.step_ms,
      durationMs: Date.now() - began_at.getTime(),
      environment: environment ?? 'production',
      hasMetrics: metrics !== undefined,
    });
    await outbox.answer(trx, conversation_id, `watch:${row.id}:result`, card);
    await showIncident(trx, outbox, row.incident_id);
  }

  const isStillLive = async (deploymentId: string): Promise<boolean> =>
    (await db
      .selectFrom('environment')
      .select('id')
      .where('live_deployment_id', '=', deploymentId)
      .executeTakeFirst()) !== undefined;

  /** Something else is live now: whether that has the fix is looked up, and then watched anew. */
  const cutShort = (row: Row): Promise<void> =>
    write(row, async (trx) => {
      const words = 'Another deployment took its place before the watch was over.';
      await trx
        .updateTable('watch')
        .set({ state: 'not_recovered', result: words, ended_at: new Date() })
        .where('id', '=', row.id)
        .execute();
      await moveIncident(trx, row.incident_id, ['watching'], 'waiting');
      await trx
        .updateTable('remediation')
        .set({ state: 'published', ended_at: null })
        .where('id', '=', row.remediation_id)
        .where('state', '=', 'deployed')
        .execute();
      await jobs.send('remediation', { remediationId: row.remediation_id }, { trx });
      const next =
        'What is live now is looked at: if it has the fix, the watch begins anew. If it has not, deploy the fix again; the incident stays open.';
      await say(trx, row, row.samples, { outcome: 'unknown', words, next });
    });

  async function giveUp(watchId: string, error: string): Promise<void> {
    log.error({ watch: watchId, error }, 'a watch was given up');
    const row = await take(watchId);
    if (!row) return;
    await write(row, async (trx) => {
      const words = 'Something broke inside Comio; whether the series recovered is not known.';
      await trx
        .updateTable('watch')
        .set({ state: 'not_recovered', result: words, ended_at: new Date() })
        .where('id', '=', row.id)
        .execute();
      await moveIncident(trx, row.incident_id, ['watching'], 'unresolved');
      const next =
        'The incident stays open until its signals are over. Look at the series yourself, and at the log of Comio.';
      await say(trx, row, row.samples, { outcome: 'unknown', words, next });
    });
  }

  return { begin, advance, giveUp };
}
