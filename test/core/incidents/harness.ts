import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { createMemoryBus } from '#adapters/events/memory.ts';
import type { Provider } from '#adapters/llm/llm.ts';
import { createScripted } from '#adapters/llm/providers/scripted.ts';
import type { MetricsSource } from '#adapters/queries/metrics-source.ts';
import type { Card } from '#core/conversations/card.ts';
import type { Handlers } from '#core/conversations/handler.ts';
import { createOutbox } from '#core/conversations/outbox.ts';
import type { FindingEvent } from '#core/events.ts';
import type { DiagnosisAnswer } from '#core/incidents/diagnosis-schema.ts';
import type { ReadLogs } from '#core/incidents/evidence/logs.ts';
import type { Taken } from '#core/incidents/intake.ts';
import { createIncidentsPart } from '#core/incidents/part.ts';
import type { Database } from '#core/store/database.ts';
import { openJobs } from '#core/store/jobs.ts';
import { queues } from '#core/store/queues.ts';
import { toJson } from '#core/store/storable.ts';
import { createGitTransport, type GitTransport } from '#sandbox/git-transport.ts';
import { silentLog } from '#test/support/silent-log.ts';
import { createArrivals } from '../../adapters/events/arrivals.ts';

export const TOKEN = 'token-of-the-recording';
export const REQUESTER = { id: 'ada', name: 'Ada', claims: [] };

export interface IncidentsWorld extends AsyncDisposable {
  app: Hono;
  handlers: Handlers;
  bus: ReturnType<typeof createMemoryBus>;
  /** What became of each signal. */
  taken: ReturnType<typeof createArrivals<Taken>>;
  start(): Promise<void>;
  /** The card of an incident as it is now. */
  card(incidentId: string): Promise<Card>;
  /** Waits until the incident's card satisfies the condition. */
  shows(incidentId: string, condition: (card: Card) => boolean): Promise<Card>;
}

/** The incidents part over a database, without surfaces: cards are read where they wait. */
export async function openIncidents(
  database: Database,
  options: {
    model?: Provider | undefined;
    metrics?: MetricsSource | undefined;
    logs?: ReadLogs | undefined;
    transport?: GitTransport | undefined;
    token?: string | undefined;
    redact?: ((text: string) => string) | undefined;
    quietMs?: number | undefined;
  } = {},
): Promise<IncidentsWorld> {
  await using opening = new AsyncDisposableStack();
  const { db } = database;
  const jobs = opening.use(await openJobs(database, { log: silentLog, queues }));
  const bus = opening.use(createMemoryBus({ log: silentLog }));
  const redact = options.redact ?? ((text: string) => text);
  const outbox = createOutbox({ db, jobs, surfaces: () => new Map(), redact, log: silentLog });
  const taken = createArrivals<Taken>();
  const part = createIncidentsPart({
    db,
    jobs,
    bus,
    outbox,
    transport: options.transport ?? createGitTransport({ dataDir: '/nowhere', log: silentLog }),
    forge: undefined,
    metrics: options.metrics,
    stepMs: 15_000,
    quietMs: options.quietMs ?? 0,
    logs: options.logs,
    model: options.model && { provider: options.model, name: 'scripted' },
    alertsToken: 'token' in options ? options.token : TOKEN,
    redact,
    onSignal: (_kind, what) => taken.push(what),
    log: silentLog,
  });
  const app = new Hono();
  part.mount(app);
  const card = async (incidentId: string): Promise<Card> => {
    const { content } = await db
      .selectFrom('outbox')
      .select('content')
      .where('key', '=', `incident:${incidentId}`)
      .executeTakeFirstOrThrow();
    if (content.type !== 'card') throw new Error('not a card');
    return content.card;
  };
  const held = opening.move();
  return {
    app,
    handlers: part.handlers,
    bus,
    taken,
    start: part.start,
    card,
    async shows(incidentId, condition) {
      for (;;) {
        const now = await card(incidentId);
        if (condition(now)) return now;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

export interface Deployed {
  projectId: string;
  environmentId: string;
  conversationId: string;
  /** Newest first. */
  deploymentIds: string[];
}

/** A project whose commits (oldest first) were deployed to production as `app`; the last of them is live. */
export async function deploy(
  { db }: Database,
  app: string,
  commits: readonly { sha: string; message: string; liveAt: Date }[],
  cloneUrl: string | null = null,
): Promise<Deployed> {
  const ids = { projectId: randomUUID(), environmentId: randomUUID(), conversationId: randomUUID() };
  await db
    .insertInto('project')
    .values({
      id: ids.projectId,
      name: app,
      description: '',
      origin: 'imported',
      clone_url: cloneUrl,
      default_branch: 'main',
    })
    .execute();
  const address = { surface: 'slack' as const, key: ids.conversationId, at: {} };
  await db
    .insertInto('conversation')
    .values({
      id: ids.conversationId,
      surface: 'slack',
      key: ids.conversationId,
      address: toJson(address),
      project_id: ids.projectId,
    })
    .execute();
  await db
    .insertInto('environment')
    .values({ id: ids.environmentId, project_id: ids.projectId, name: 'production', host: app })
    .execute();
  const deploymentIds: string[] = [];
  for (const { sha, message, liveAt } of commits) {
    const [releaseId, id] = [randomUUID(), randomUUID()];
    await db
      .insertInto('release')
      .values({ id: releaseId, project_id: ids.projectId, commit_sha: sha, commit_message: message })
      .execute();
    await db
      .insertInto('deployment')
      .values({
        id,
        environment_id: ids.environmentId,
        release_id: releaseId,
        kind: 'deploy',
        state: 'live',
        conversation_id: ids.conversationId,
        message_id: randomUUID(),
        requested_by: toJson(REQUESTER),
        phases: '[]',
        live_at: liveAt,
      })
      .execute();
    await db
      .updateTable('environment')
      .set({ live_deployment_id: id })
      .where('id', '=', ids.environmentId)
      .execute();
    deploymentIds.unshift(id);
  }
  return { ...ids, deploymentIds };
}

/** A model that answers every question for a diagnosis with `answers`, one after the other. */
export const diagnosing = (...answers: (DiagnosisAnswer | Record<string, unknown>)[]): Provider =>
  createScripted({
    scenarios: [
      {
        name: 'diagnose',
        when: '^Diagnose this incident',
        steps: answers.map((input) => ({ toolCalls: [{ name: 'report_diagnosis', input }] })),
      },
    ],
  });

export const finding = (environmentId: string, changes: Partial<FindingEvent> = {}): FindingEvent => ({
  fingerprint: 'latency',
  status: 'firing',
  environmentId,
  title: 'latency p95 of shop is above its band',
  query: 'latency',
  labels: { app: 'shop' },
  startsAt: new Date().toISOString(),
  endsAt: null,
  value: 0.45,
  low: 0.01,
  high: 0.02,
  score: 0.97,
  scrapes: 3,
  imageId: null,
  ...changes,
});

/** All text a card shows. */
export const textOf = (card: Card): string => JSON.stringify(card);
