import { sql } from 'kysely';
import type { Db as BossDb, JobWithMetadata, PgBoss } from 'pg-boss';
import { currentIds, type WorkIds, withIds } from '#observability/context.ts';
import type { Logger } from '#observability/log.ts';
import { noTracing, type Tracing } from '#observability/tracing.ts';
import { createBoss, HEARTBEAT_SECONDS } from './boss.ts';
import type { Database, Trx } from './database.ts';
import type { PayloadOf, QueueDefinition, QueueDefinitions } from './queues.ts';

/** NOTIFY wakes workers at once; polling is for retries, for jobs that become due, and for lost notifications. */
const POLL_SECONDS = 2;
/** Up to here a delayed job gets a timer in the process that sent it, to be as punctual as a NOTIFY. */
const TIMER_MAX_MS = 60_000;
const DAY_SECONDS = 86_400;
/** How long stop() waits for handlers after their signal. */
const STOP_TIMEOUT_MS = 10_000;

export interface SendOptions {
  /** The job exists, and workers are woken, when this commits; not at all if it rolls back. */
  trx?: Trx | undefined;
  /** Instead of the key that the queue derives from the payload. */
  key?: string | undefined;
  /** Not before this many milliseconds from now. */
  afterMs?: number | undefined;
}

export interface WorkOptions<Payload> {
  /** How many jobs of this queue this process works on at a time. */
  concurrency: number;
  /**
   * Told once a job has failed for good, before the next job of its key may start. At least once; tried again
   * when it throws.
   */
  onDead(payload: Payload, error: string): Promise<void>;
}

/**
 * Works on one job. May be called again for the same job, so it must find out from the rows what is left to do,
 * and arm the next job itself where something is due later. `signal` aborts when the process stops or another
 * may have taken the job over: then throw (`signal.throwIfAborted()`); the job comes back.
 */
export type Handler<Payload> = (payload: Payload, signal: AbortSignal) => Promise<void>;

export interface Jobs<Queues extends QueueDefinitions<Queues>> extends AsyncDisposable {
  /**
   * Asks for a job. While an equal one (same queue, key and payload) is queued, that one stands for both and runs
   * at the earlier of their times; one that is being worked on does not count, as it may have looked already.
   * Locks the key until the transaction ends: send late in it, and several keys always in the same order.
   */
  send<Name extends keyof Queues & string>(
    queue: Name,
    payload: PayloadOf<Queues[Name]>,
    options?: SendOptions,
  ): Promise<void>;
  work<Name extends keyof Queues & string>(
    queue: Name,
    options: WorkOptions<PayloadOf<Queues[Name]>>,
    handler: Handler<PayloadOf<Queues[Name]>>,
  ): Promise<void>;
  /** Takes no more jobs, aborts the signals of those at work, waits for their handlers, and gives the jobs back. */
  stop(): Promise<void>;
  /** What it runs on, for other queues in the same database; `inside` has it work within a transaction of ours. */
  readonly engine: { boss: PgBoss; inside: (trx: Trx) => BossDb; alone: boolean };
}

export interface JobsOptions<Queues extends QueueDefinitions<Queues>> {
  log: Logger;
  queues: Queues;
  /** How long stop() waits for handlers before it gives their jobs back regardless. */
  stopTimeoutMs?: number;
  tracing?: Tracing;
  onJob?: (queue: string, result: 'done' | 'failed', ms: number) => void;
}

/** Lies in a job's data beside the payload. Equal payloads stay equal: pg-boss looks for data that contains them. */
const ORIGIN = '_origin';

/** What a job knows of where it was asked for. */
interface Origin {
  ids?: WorkIds;
  /** W3C traceparent of the span that waits for the job, in a manner of speaking. */
  parent?: string;
  /** The same for a job that is due later: watching and sweeping would otherwise be one trace without an end. */
  link?: string;
}

interface Interrupted {
  queue: string;
  id: string;
  retryLimit: number;
}

/** Starts the job engine on an opened database. Call it once per process and database. */
export const openJobs = async <Queues extends QueueDefinitions<Queues>>(
  database: Database,
  { log, queues, stopTimeoutMs = STOP_TIMEOUT_MS, tracing = noTracing, onJob }: JobsOptions<Queues>,
): Promise<Jobs<Queues>> => {
  const { boss, inside } = createBoss(database);
  boss.on('error', (error) => log.error({ error: error.message }, 'job engine'));
  boss.on('warning', ({ message, data }) => log.warn({ data }, message));
  await boss.start();
  const existing = new Set((await boss.getQueues()).map(({ name }) => name));
  for (const [name, { retryLimit }] of Object.entries<QueueDefinition<object>>(queues)) {
    if (!existing.has(name)) await createQueue(boss, name, retryLimit);
    // Reads it into pg-boss's cache: on PGlite, reading it in the midst of a caller's transaction would wait forever.
    await boss.getBlockedKeys(name);
  }
  if (database.ownsAlone) await takeOver(boss, [...existing], log);

  const stopping = new AbortController();
  const workers = new Map<string, string[]>();
  const timers = new Set<NodeJS.Timeout>();
  const interrupted: Interrupted[] = [];
  let stopped: Promise<void> | undefined;

  const wake = (queue: string): void => {
    for (const worker of workers.get(queue) ?? []) boss.notifyWorker(worker);
  };

  const wakeAfter = (queue: string, ms: number): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      wake(queue);
    }, ms);
    timer.unref();
    timers.add(timer);
  };

  /** One worker of pg-boss. Having worked, it looks for more at once, where pg-boss would wait for the next poll. */
  const startWorker = async (
    queue: string,
    work: (job: JobWithMetadata<object>) => Promise<void>,
  ): Promise<void> => {
    let id: string | undefined;
    id = await boss.work(
      queue,
      {
        batchSize: 1,
        includeMetadata: true,
        pollingIntervalSeconds: POLL_SECONDS,
        notifyPollingIntervalSeconds: POLL_SECONDS,
        heartbeatRefreshSeconds: HEARTBEAT_SECONDS / 4,
      },
      async (jobs: JobWithMetadata<object>[]) => {
        try {
          for (const job of jobs) await work(job);
        } finally {
          if (id !== undefined) boss.notifyWorker(id);
        }
      },
    );
    workers.set(queue, [...(workers.get(queue) ?? []), id]);
  };

  const close = async (): Promise<void> => {
    for (const timer of timers) clearTimeout(timer);
    stopping.abort(new DOMException('The service is stopping', 'AbortError'));
    const { promise: timeout, resolve: giveUp } = Promise.withResolvers<void>();
    const timer = setTimeout(giveUp, stopTimeoutMs);
    await Promise.race([
      timeout,
      Promise.all([...workers.keys()].map((queue) => boss.offWork(queue, { wait: true }))),
    ]);
    clearTimeout(timer);
    // Interrupting is not the job's failure: it neither waits for a pause nor counts as one of its tries.
    for (const { queue, id, retryLimit } of interrupted)
      await boss.update(queue, undefined, { id, startAfter: 0, retryLimit: retryLimit + 1 });
    await boss.stop({ graceful: false });
  };

  const originNow = (afterMs: number): Origin | undefined => {
    const traceparent = tracing.traceparent();
    if (afterMs > 0) return traceparent === undefined ? undefined : { link: traceparent };
    const { jobId: _, ...ids } = currentIds();
    if (traceparent !== undefined) return { ids, parent: traceparent };
    return Object.keys(ids).length > 0 ? { ids } : undefined;
  };

  const stop = (): Promise<void> => {
    stopped ??= close();
    return stopped;
  };

  return {
    async send(queue, payload, { trx, key = queues[queue].key(payload), afterMs = 0 } = {}) {
      const job = { queue, payload, key, afterMs, origin: originNow(afterMs) };
      const enqueueIn = (within: Trx) => enqueue(boss, within, inside(within), database.ownsAlone, job);
      await (trx ? enqueueIn(trx) : database.db.transaction().execute(enqueueIn));
      if (afterMs > 0 && afterMs <= TIMER_MAX_MS) wakeAfter(queue, afterMs);
    },

    async work(queue, { concurrency, onDead }, handler) {
      for (let worker = 0; worker < concurrency; worker += 1)
        await startWorker(queue, async ({ id, data, retryLimit, signal: claim }) => {
          const signal = AbortSignal.any([claim, stopping.signal]);
          const { payload, origin } = opened<PayloadOf<Queues[typeof queue]>>(data);
          const started = performance.now();
          const ended = (result: 'done' | 'failed') => onJob?.(queue, result, performance.now() - started);
          const { parent, link } = origin;
          await withIds({ ...origin.ids, ...idsIn(payload), jobId: id }, () =>
            tracing.span(`job ${queue}`, { kind: 'consumer', parent, link }, async (span) => {
              span.set({ 'comio.job.id': id });
              try {
                await handler(payload, signal);
                // It may have returned because of the signal. Advancing once more than needed does no harm.
                signal.throwIfAborted();
                ended('done');
              } catch (error) {
                if (stopping.signal.aborted) interrupted.push({ queue, id, retryLimit });
                else {
                  log.warn({ queue, job: payload, error: describe(error) }, 'a job failed');
                  ended('failed');
                }
                throw error;
              }
            }),
          );
        });
      await startWorker(deadLetters(queue), async ({ data, sourceId, sourceOutput }) => {
        const { payload, origin } = opened<PayloadOf<Queues[typeof queue]>>(data);
        await withIds({ ...origin.ids, ...idsIn(payload) }, () => onDead(payload, describe(sourceOutput)));
        // Until it is gone, the failed job holds back every other of its key.
        if (sourceId !== null) await boss.deleteJob(queue, sourceId);
        wake(queue);
      });
    },

    stop,
    engine: { boss, inside, alone: database.ownsAlone },
    [Symbol.asyncDispose]: stop,
  };
};

/** A job's data as it was asked for, and where. */
function opened<Payload extends object>(data: object): { payload: Payload; origin: Origin } {
  const { [ORIGIN]: origin = {}, ...payload } = data as { [ORIGIN]?: Origin };
  return { payload: payload as Payload, origin };
}

const idsIn = (payload: object): WorkIds =>
  Object.fromEntries(
    Object.entries(payload).filter(([key, value]) => /Id$/.test(key) && typeof value === 'string'),
  );

const deadLetters = (queue: string): string => `${queue}-dead`;

const createQueue = async (boss: PgBoss, name: string, retryLimit: number): Promise<void> => {
  const common = {
    notify: true,
    heartbeatSeconds: HEARTBEAT_SECONDS,
    // The heartbeat finds dead workers; a turn may take hours.
    expireInSeconds: DAY_SECONDS - 1,
    deleteAfterSeconds: DAY_SECONDS,
    retryDelay: 1,
    retryBackoff: true,
    retryDelayMax: 60,
  };
  await boss.createQueue(deadLetters(name), { ...common, retryLimit: 1000 });
  // Of pg-boss's policies only this one keeps keys apart: `stately` lets the first job of a busy key, or of one in
  // retry, hide every job behind it. A job of the key that is active, in retry or failed holds back its successors.
  await boss.createQueue(name, {
    ...common,
    policy: 'key_strict_fifo',
    retryLimit,
    deadLetter: deadLetters(name),
  });
};

/** Whoever owns the database alone finds only dead processes' jobs active: there is no heartbeat to wait for. */
const takeOver = async (boss: PgBoss, queues: string[], log: Logger): Promise<void> => {
  for (const queue of queues) {
    const left = (await boss.findJobs(queue)).filter((job) => job.state === 'active');
    for (const { id, data } of left) {
      log.info(
        { queue, job: opened(data as object).payload },
        'taking over the job of a process that was killed',
      );
      await boss.fail(queue, id, { message: 'The process that worked on it was killed' });
      await boss.update(queue, undefined, { id, startAfter: 0 });
    }
  }
};

const enqueue = async (
  boss: PgBoss,
  trx: Trx,
  db: BossDb,
  alone: boolean,
  {
    queue,
    payload,
    key,
    afterMs,
    origin,
  }: { queue: string; payload: object; key: string; afterMs: number; origin: Origin | undefined },
): Promise<void> => {
  // Two senders must not both find nothing queued. Whoever owns the database alone has one session, and no second.
  if (!alone) await sql`select pg_advisory_xact_lock(hashtextextended(${`${queue}/${key}`}, 0))`.execute(trx);
  const [queued] = await boss.findJobs(queue, { key, data: payload, queued: true, db });
  if (queued) {
    // Even without a change this locks the job's row, so that no worker takes it before this transaction commits:
    // its handler would look at the rows without seeing what the transaction wrote, and this wake-up be lost.
    const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(trx);
    const due = (rows[0]?.now.getTime() ?? 0) + afterMs;
    const earlier = due < queued.startAfter.getTime() ? { startAfter: afterMs / 1000 } : {};
    const { updated } = await boss.update(queue, undefined, { id: queued.id, ...earlier, db });
    if (updated > 0) return;
  }
  const data = origin ? { ...payload, [ORIGIN]: origin } : payload;
  await boss.send(queue, data, { singletonKey: key, startAfter: afterMs / 1000, db });
};

const describe = (error: unknown): string => {
  if (error instanceof Error) return error.message;
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message);
  return typeof error === 'string' ? error : JSON.stringify(error);
};
