import type { Hono } from 'hono';
import type { Kysely, Transaction } from 'kysely';
import type { EventBus } from '#adapters/events/bus.ts';
import type { Forge } from '#adapters/forge/forge.ts';
import type { Provider } from '#adapters/llm/llm.ts';
import type { MetricsSource } from '#adapters/queries/metrics-source.ts';
import type { Logger } from '#observability/log.ts';
import type { GitTransport } from '#sandbox/git-transport.ts';
import type { Handlers } from '../conversations/handler.ts';
import type { Outbox } from '../conversations/outbox.ts';
import { topics } from '../events.ts';
import type { Jobs } from '../store/jobs.ts';
import type { Queues } from '../store/queues.ts';
import type { Schema } from '../store/schema.ts';
import { mountAlertmanager } from './alertmanager.ts';
import { createIncidentCommands } from './commands.ts';
import { createDiagnosis } from './diagnosis.ts';
import { commitsSource } from './evidence/commits.ts';
import { deploymentsSource } from './evidence/deployments.ts';
import { logsSource, type ReadLogs } from './evidence/logs.ts';
import { metricsSource } from './evidence/metrics.ts';
import { signalsSource } from './evidence/signals.ts';
import { createIntake, type Taken } from './intake.ts';
import { createSettle } from './settle.ts';

const WORKERS = 2;
const GROUP = 'incidents';

/** From signals to diagnosed incidents. */
export interface IncidentsPart {
  handlers: Handlers;
  /** Adds the webhook; before the server listens. */
  mount(app: Hono): void;
  /** Begins to take signals in and to diagnose. */
  start(): Promise<void>;
}

export function createIncidentsPart(deps: {
  db: Kysely<Schema>;
  jobs: Jobs<Queues>;
  bus: EventBus;
  outbox: Outbox;
  transport: GitTransport;
  forge: Forge | undefined;
  /** undefined: nothing is monitored. */
  metrics: MetricsSource | undefined;
  /** Milliseconds between two points of a series. */
  stepMs: number;
  /** Milliseconds without a signal after which an incident nobody fixed is over. */
  quietMs: number;
  /** undefined: nothing can be deployed. */
  logs: ReadLogs | undefined;
  model: { provider: Provider; name: string } | undefined;
  alertsToken: string | undefined;
  /** In the transaction that writes a diagnosis. */
  onDiagnosed?: ((trx: Transaction<Schema>, incidentId: string) => Promise<void>) | undefined;
  redact: (text: string) => string;
  onSignal?: ((kind: 'alert' | 'finding', taken: Taken) => void) | undefined;
  log: Logger;
}): IncidentsPart {
  const { db, jobs, bus, outbox, quietMs, log } = deps;
  const onSignal = deps.onSignal ?? (() => undefined);
  const intake = createIntake({ db, jobs, outbox, quietMs, onSignal, log });
  const settle = createSettle({ db, jobs, outbox, quietMs });
  const diagnosis = createDiagnosis({
    db,
    outbox,
    sources: [signalsSource, metricsSource(deps), logsSource(deps), deploymentsSource, commitsSource(deps)],
    model: deps.model,
    redact: deps.redact,
    onDiagnosed: deps.onDiagnosed,
    log,
  });
  return {
    handlers: createIncidentCommands({ outbox }),
    mount: (app) => mountAlertmanager(app, { token: deps.alertsToken, bus, log }),
    async start() {
      await bus.subscribe(topics.alert, GROUP, intake.alert);
      await bus.subscribe(topics.finding, GROUP, intake.finding);
      await jobs.work(
        'incident',
        {
          concurrency: WORKERS,
          async onDead({ incidentId }, error) {
            await diagnosis.giveUp(incidentId, error);
            await settle(incidentId);
          },
        },
        async ({ incidentId }, signal) => {
          await diagnosis.advance(incidentId, signal);
          await settle(incidentId);
        },
      );
    },
  };
}
