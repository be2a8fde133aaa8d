import type { Database } from '#core/store/database.ts';
import { type Jobs, openJobs } from '#core/store/jobs.ts';
import type { QueueDefinition } from '#core/store/queues.ts';
import { createLogger } from '#observability/log.ts';

const task: QueueDefinition<{ name: string }> = { key: ({ name }) => name, retryLimit: 1 };
const fragile: QueueDefinition<{ name: string }> = { key: ({ name }) => name, retryLimit: 0 };

export type TaskJobs = Jobs<{ task: typeof task; fragile: typeof fragile }>;

/** The job engine with two queues for tests: `task` tries twice, `fragile` once. */
export const openTaskJobs = (database: Database, stopTimeoutMs = 5_000): Promise<TaskJobs> =>
  openJobs(database, { log: createLogger('silent'), queues: { task, fragile }, stopTimeoutMs });

export const never = async (): Promise<never> => {
  throw new Error('no job was expected to be given up');
};
