import { createHash } from 'node:crypto';
import type { JobWithMetadata, PgBoss } from 'pg-boss';
import type { Logger } from '#observability/log.ts';
import { type BusEvent, type EventBus, type Handle, MAX_DELIVERIES } from './bus.ts';
import type { BusResources } from './bus-factory.ts';

const PREFIX = 'event/';
const DEAD = '-dead';
/** NOTIFY wakes workers at once; polling is for retries and lost notifications. */
const POLL_SECONDS = 2;
/** pg-boss tells a killed worker by silence; 10 s is the shortest it takes. */
const HEARTBEAT_SECONDS = 10;
const DAY_SECONDS = 86_400;
/** Handlers only start durable work. */
const EXPIRE_SECONDS = 300;
const WORKERS = 2;
/** How long handlers are waited for at the end; what they were at is delivered again. */
const STOP_TIMEOUT_MS = 10_000;

/**
 * A queue of pg-boss for each topic and group, on PGlite or PostgreSQL. An event's identity is its job's: published
 * again within a day of having been handled it is not handled again. A group that no longer has subscribers keeps its
 * events for two weeks.
 */
export async function createPostgresBus<Trx>({
  boss,
  inside,
  alone,
  log,
}: BusResources<Trx>): Promise<EventBus<Trx>> {
  /** Queues whose definition pg-boss has read: on PGlite, reading it within a caller's transaction would wait forever. */
  const known = new Set<string>();
  const workers: { queue: string; id: string }[] = [];

  async function learn(): Promise<void> {
    for (const { name } of await boss.getQueues()) if (isEventQueue(name)) await remember(name);
  }
  async function remember(queue: string): Promise<void> {
    if (known.has(queue)) return;
    await boss.getBlockedKeys(queue);
    known.add(queue);
  }
  await learn();

  const work = async (queue: string, handle: (job: JobWithMetadata<object>) => Promise<void>) => {
    const options = {
      batchSize: 1,
      includeMetadata: true,
      pollingIntervalSeconds: POLL_SECONDS,
      notifyPollingIntervalSeconds: POLL_SECONDS,
      heartbeatRefreshSeconds: HEARTBEAT_SECONDS / 4,
    } as const;
    let id: string | undefined;
    id = await boss.work(queue, options, async (jobs: JobWithMetadata<object>[]) => {
      try {
        for (const job of jobs) await handle(job);
      } finally {
        // It looks for more at once, where pg-boss would wait for the next poll.
        if (id !== undefined) boss.notifyWorker(id);
      }
    });
    workers.push({ queue, id });
  };

  return {
    name: 'postgres',
    supports: { durability: true, transactions: true },

    async publish(event, trx) {
      // Another process may have a group this one does not know.
      if (!alone) await learn();
      const db = trx === undefined ? {} : { db: inside(trx) };
      // One after another, in one order: in a transaction there is one connection, and two publishers never cross.
      for (const queue of [...known].filter((name) => name.startsWith(`${PREFIX}${event.topic}/`)).sort())
        await boss.send(queue, event, { id: jobId(queue, event.id), singletonKey: digest(event.key), ...db });
    },

    async subscribe(topic, group, handle) {
      const queue = queueName(topic, group);
      await createQueues(boss, queue);
      await remember(queue);
      for (let worker = 0; worker < WORKERS; worker += 1)
        await work(queue, ({ data }) => deliver(data as BusEvent, group, handle, log));
      await work(`${queue}${DEAD}`, async ({ data, sourceId }) => {
        const { id, key } = data as BusEvent;
        log.error({ topic, group, event: id, key }, 'an event was given up');
        // Until it is gone, the failed job holds back every other of its key.
        if (sourceId !== null) await boss.deleteJob(queue, sourceId);
        for (const worker of workers) if (worker.queue === queue) boss.notifyWorker(worker.id);
      });
    },

    async [Symbol.asyncDispose]() {
      const { promise: timeout, resolve: giveUp } = Promise.withResolvers<void>();
      const timer = setTimeout(giveUp, STOP_TIMEOUT_MS);
      const ended = workers.splice(0).map(({ queue, id }) => boss.offWork(queue, { id, wait: true }));
      await Promise.race([timeout, Promise.all(ended)]);
      clearTimeout(timer);
    },
  };
}

async function deliver(event: BusEvent, group: string, handle: Handle, log: Logger): Promise<void> {
  try {
    await handle(event);
  } catch (error) {
    log.warn({ err: error, topic: event.topic, group, event: event.id }, 'an event was not handled');
    throw error;
  }
}

const isEventQueue = (name: string): boolean => name.startsWith(PREFIX) && !name.endsWith(DEAD);

const NAME = /^[\w.-]+$/;
const queueName = (topic: string, group: string): string => {
  for (const name of [topic, group])
    if (!NAME.test(name) || name.endsWith(DEAD))
      throw new RangeError(`"${name}" is no name for a topic or a group`);
  return `${PREFIX}${topic}/${group}`;
};

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);

/** A UUID that follows from the event's identity, in the form of RFC 9562's version 8. */
function jobId(queue: string, eventId: string): string {
  const hex = digest(`${queue}\n${eventId}`);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20),
  ].join('-');
}

async function createQueues(boss: PgBoss, queue: string): Promise<void> {
  const existing = new Set((await boss.getQueues([queue, `${queue}${DEAD}`])).map(({ name }) => name));
  const common = {
    notify: true,
    heartbeatSeconds: HEARTBEAT_SECONDS,
    expireInSeconds: EXPIRE_SECONDS,
    deleteAfterSeconds: DAY_SECONDS,
    retryDelay: 1,
    retryBackoff: true,
    retryDelayMax: 60,
  };
  if (!existing.has(`${queue}${DEAD}`))
    await boss.createQueue(`${queue}${DEAD}`, { ...common, retryLimit: 1000 });
  if (!existing.has(queue))
    await boss.createQueue(queue, {
      ...common,
      // The only policy that keeps keys apart and in order (see core/store/jobs.ts).
      policy: 'key_strict_fifo',
      retryLimit: MAX_DELIVERIES - 1,
      deadLetter: `${queue}${DEAD}`,
    });
}
