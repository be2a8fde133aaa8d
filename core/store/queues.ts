import type { Jobs } from './jobs.ts';

/** What the engine must know about a kind of job. */
export interface QueueDefinition<Payload extends object> {
  /** Of the jobs with one key, at most one is worked on at a time, over all processes. */
  key(payload: Payload): string;
  /** How often a job is tried again, with growing pauses, before it is given up. */
  retryLimit: number;
}

export type QueueDefinitions<Queues> = { [Name in keyof Queues]: QueueDefinition<object> };
export type PayloadOf<Definition> = Definition extends QueueDefinition<infer Payload> ? Payload : never;

const queue = <Payload extends object>(definition: QueueDefinition<Payload>): QueueDefinition<Payload> =>
  definition;

/** Every kind of durable work. A job only says "look at this row and advance it"; the row says where it stands. */
export const queues = {
  /** A message was written to the inbox. */
  inbox: queue<{ messageId: string }>({ key: ({ messageId }) => messageId, retryLimit: 8 }),
  /** A run has an open turn. */
  run: queue<{ runId: string }>({ key: ({ runId }) => runId, retryLimit: 8 }),
  /** A conversation has something to send. */
  outbox: queue<{ conversationId: string }>({ key: ({ conversationId }) => conversationId, retryLimit: 12 }),
  /** A question may have expired. */
  approval: queue<{ approvalId: string }>({ key: ({ approvalId }) => approvalId, retryLimit: 8 }),
  /** A deployment is to go on, or its instance to be removed. */
  deployment: queue<{ deploymentId: string }>({ key: ({ deploymentId }) => deploymentId, retryLimit: 8 }),
  /** Somebody wants to read what a deployment printed. */
  logs: queue<{ messageId: string; deploymentId: string; lines: number }>({
    key: ({ messageId }) => messageId,
    retryLimit: 4,
  }),
  /** An environment's series are due to be looked at. */
  monitor: queue<{ environmentId: string }>({ key: ({ environmentId }) => environmentId, retryLimit: 2 }),
  /** An incident is to be diagnosed. */
  incident: queue<{ incidentId: string }>({ key: ({ incidentId }) => incidentId, retryLimit: 8 }),
  /** A proposed fix is to go on. */
  remediation: queue<{ remediationId: string }>({ key: ({ remediationId }) => remediationId, retryLimit: 8 }),
  /** The series of a fixed incident are due to be looked at. */
  watch: queue<{ watchId: string }>({ key: ({ watchId }) => watchId, retryLimit: 8 }),
};

export type Queues = typeof queues;

/** What a part needs that only asks for work. */
export type Sender = Pick<Jobs<Queues>, 'send'>;
