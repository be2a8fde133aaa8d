import { AsyncLocalStorage } from 'node:async_hooks';

/** What is being worked on: `requestId`, `messageId`, `runId`, `turnId`, `deploymentId`, `incidentId`, … */
export type WorkIds = Readonly<Record<string, string | undefined>>;

const storage = new AsyncLocalStorage<WorkIds>();

/** Everything that `work` starts, waited for or not, carries these ids too; `undefined` takes one away. */
export const withIds = <T>(ids: WorkIds, work: () => T): T =>
  storage.run({ ...storage.getStore(), ...ids }, work);

export const currentIds = (): WorkIds => storage.getStore() ?? {};
