import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import type { BusEvent } from '#adapters/events/bus.ts';
import { MetricsError, type MetricsSource } from '#adapters/queries/metrics-source.ts';
import type { Logger } from '#observability/log.ts';
import type { Images } from '../conversations/images.ts';
import { type FindingEvent, topics } from '../events.ts';
import type { Sender } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { toJson } from '../store/storable.ts';
import { createLook, type Looked, type Watched } from './monitor-look.ts';
import type { SeriesStateTable } from './monitor-tables.ts';
import { SERIES, type SeriesSpec } from './series.ts';

/**
 * Looks at the series of what is live, again and again, and tells the bus when one leaves its band and when it is back.
 *
 * A finding is written with the state that decided it, in one transaction, and only then published; until it is known
 * to be on the bus it stays in the row. Killed in between, the next look publishes it again, under the same id.
 */
export interface Monitor {
  /** Begins with every environment in which something is live. Call it once work may start. */
  start(): Promise<void>;
  /** From now on this environment too. Idempotent. */
  follow(environmentId: string, trx?: Transaction<Schema>): Promise<void>;
  /** The job: one look, then the next is asked for. */
  look(environmentId: string, signal: AbortSignal): Promise<void>;
  /** The job has failed for good: the next look is asked for all the same. */
  giveUp(environmentId: string, error: string): Promise<void>;
}

export interface MonitorSettings {
  stepMs: number;
  /** Instead of {@link SERIES}. */
  series?: readonly SeriesSpec[] | undefined;
  /** Milliseconds since the epoch. */
  now?: (() => number) | undefined;
}

type StateRow = Selectable<SeriesStateTable>;

export function createMonitor({
  db,
  jobs,
  source,
  publish,
  images,
  settings: { stepMs, series = SERIES, now = Date.now },
  log,
}: {
  db: Kysely<Schema>;
  jobs: Sender;
  /** undefined: nothing is monitored. */
  source: MetricsSource | undefined;
  publish: (event: BusEvent) => Promise<void>;
  images: Pick<Images, 'keep'>;
  settings: MonitorSettings;
  log: Logger;
}): Monitor {
  const lookAt = source && createLook({ source, stepMs, log });

  const live = () =>
    db
      .selectFrom('environment')
      .innerJoin('deployment', 'deployment.id', 'environment.live_deployment_id')
      .select(['environment.id', 'environment.host', 'deployment.live_at']);

  const statesOf = async (environmentId: string): Promise<Map<string, StateRow>> => {
    const rows = await db
      .selectFrom('series_state')
      .selectAll()
      .where('environment_id', '=', environmentId)
      .execute();
    return new Map(rows.map((row) => [row.series, row]));
  };

  /** What an earlier look wrote and did not see arrive, too. */
  async function publishPending(environmentId: string): Promise<void> {
    for (const row of (await statesOf(environmentId)).values()) {
      if (row.pending.length === 0) continue;
      for (const finding of row.pending) await publish(eventOf(finding));
      await db
        .updateTable('series_state')
        .set({ pending: toJson([]), version: sql`version + 1` })
        .where('environment_id', '=', environmentId)
        .where('series', '=', row.series)
        .where('version', '=', row.version)
        .execute();
    }
  }

  /** False when another look wrote meanwhile: then nothing of this one is kept. */
  function write(environmentId: string, looked: readonly Looked[], before: Map<string, StateRow>) {
    return db.transaction().execute(async (trx) => {
      for (const { spec, state, findings } of looked) {
        const row = before.get(spec.name);
        const pending = [...(row?.pending ?? [])];
        for (const { finding, png } of findings)
          pending.push({ ...finding, imageId: png ? await images.keep(trx, png) : null });
        const values = { state: toJson(state), pending: toJson(pending), updated_at: new Date() };
        const written = row
          ? await trx
              .updateTable('series_state')
              .set({ ...values, version: sql`version + 1` })
              .where('environment_id', '=', environmentId)
              .where('series', '=', spec.name)
              .where('version', '=', row.version)
              .executeTakeFirst()
              .then(({ numUpdatedRows }) => numUpdatedRows)
          : await trx
              .insertInto('series_state')
              .values({ environment_id: environmentId, series: spec.name, ...values })
              .onConflict((conflict) => conflict.doNothing())
              .executeTakeFirst()
              .then(({ numInsertedOrUpdatedRows }) => numInsertedOrUpdatedRows ?? 0n);
        if (written === 0n) throw new Superseded();
      }
    });
  }

  async function lookOnce(environment: Watched, signal: AbortSignal): Promise<void> {
    await publishPending(environment.id);
    const before = await statesOf(environment.id);
    const states = new Map([...before].map(([name, { state }]) => [name, state]));
    const looked = (await lookAt?.(environment, series, states, now(), signal)) ?? [];
    signal.throwIfAborted();
    if (looked.length === 0) return;
    await write(environment.id, looked, before);
    const findings = looked.flatMap((one) => one.findings);
    for (const { finding } of findings)
      log.info({ environment: environment.host, title: finding.title, status: finding.status }, 'finding');
    if (findings.length > 0) await publishPending(environment.id);
  }

  const next = (environmentId: string): Promise<void> =>
    // On the grid of the points, so that each look finds one that is new.
    jobs.send('monitor', { environmentId }, { afterMs: stepMs - (now() % stepMs) });

  return {
    async start() {
      if (!source) return;
      for (const { id } of await live().execute()) await jobs.send('monitor', { environmentId: id });
    },
    async follow(environmentId, trx) {
      if (source) await jobs.send('monitor', { environmentId }, { trx });
    },
    async look(environmentId, signal) {
      const found = await live().where('environment.id', '=', environmentId).executeTakeFirst();
      // Nothing is live there any more; `follow` begins anew.
      if (!found) return publishPending(environmentId);
      try {
        await lookOnce({ id: found.id, host: found.host, liveAt: found.live_at }, signal);
      } catch (error) {
        if (!(error instanceof Superseded) && !(error instanceof MetricsError)) throw error;
        log.warn({ environment: found.host, error: error.message }, 'the series could not be looked at');
      }
      await next(environmentId);
    },
    async giveUp(environmentId, error) {
      log.error({ environmentId, error }, 'looking at the series failed again and again; it goes on');
      await next(environmentId);
    },
  };
}

/** Another look at the same environment was faster. */
class Superseded extends Error {
  override readonly name = 'Superseded';
  constructor() {
    super('another process looked at the same time');
  }
}

/** Its id is made of what it is about, so that published twice it is one. */
const eventOf = (finding: FindingEvent): BusEvent => ({
  id: `finding:${finding.fingerprint}:${finding.startsAt}:${finding.status}`,
  topic: topics.finding,
  key: finding.environmentId,
  payload: finding,
});
