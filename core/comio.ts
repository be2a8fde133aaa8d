import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Hono } from 'hono';
import { buses } from '#adapters/events/index.ts';
import type { Forge } from '#adapters/forge/forge.ts';
import { forges } from '#adapters/forge/index.ts';
import { chooseModel } from '#adapters/llm/choose-model.ts';
import { type RetryOptions, withRetry } from '#adapters/llm/retry.ts';
import { metricsSources } from '#adapters/queries/index.ts';
import type { MetricsSource } from '#adapters/queries/metrics-source.ts';
import type { Target } from '#adapters/targets/target.ts';
import type { Logger } from '#observability/log.ts';
import { createMetrics } from '#observability/metrics.ts';
import type { Redactor } from '#observability/redact.ts';
import { openTracing } from '#observability/tracing.ts';
import { drivers } from '#sandbox/drivers/index.ts';
import { createGitTransport } from '#sandbox/git-transport.ts';
import type { SandboxDriver } from '#sandbox/sandbox.ts';
import packageJson from '../package.json' with { type: 'json' };
import { createApprovals } from './approvals/approvals.ts';
import type { Config } from './config.ts';
import { createDispatch } from './conversations/dispatch.ts';
import { createImages, type Images } from './conversations/images.ts';
import { createInbox } from './conversations/inbox.ts';
import { createOutbox } from './conversations/outbox.ts';
import type { Receive, Surface, SurfaceName } from './conversations/surface.ts';
import { createDeployments } from './deployments/deployments.ts';
import { mountDiscovery } from './deployments/discovery.ts';
import { createHosts } from './deployments/host.ts';
import { createHostTarget } from './deployments/host-target.ts';
import type { AppProxy } from './deployments/proxy.ts';
import { createMonitor } from './incidents/monitor.ts';
import { createIncidentsPart } from './incidents/part.ts';
import { createRemediation } from './incidents/remediation.ts';
import { createWatch } from './incidents/watch.ts';
import { metricsView } from './metrics-view.ts';
import { observedDriver, observedProvider, observedReceive, observedRuns } from './observed.ts';
import { withPatience } from './projects/patient-forge.ts';
import { createRunCommands } from './runs/commands.ts';
import { createEngine } from './runs/engine.ts';
import { createReaper } from './runs/reaper.ts';
import { createStops } from './runs/stops.ts';
import { openTurn } from './runs/turns.ts';
import { createServer } from './server.ts';
import { statusView } from './status-view.ts';
import { type Database, openDatabase } from './store/database.ts';
import { openJobs } from './store/jobs.ts';
import { migrate } from './store/migrate.ts';
import { queues } from './store/queues.ts';
import { startWork } from './work.ts';

const MODEL_RETRY: RetryOptions = {
  attempts: 4,
  baseMs: 1000,
  sleep: (ms, signal) => setTimeout(ms, undefined, signal ? { signal } : {}),
  random: Math.random,
};

const DATABASE_NAMES = { pglite: 'PGlite, embedded', postgres: 'PostgreSQL' };

export interface Comio extends AsyncDisposable {
  /** The HTTP side; surfaces are mounted on it by {@link Comio.start}. */
  app: Hono;
  /** Requests for deployed apps, looked at before the app above. */
  proxy: AppProxy;
  /** What surfaces call with everything they hear. */
  receive: Receive;
  /** The pictures in cards, for the surfaces that show them. */
  images: Pick<Images, 'png' | 'url'>;
  /** Mounts and connects the surfaces, then starts to work on what waits. */
  start(surfaces: readonly Surface[]): Promise<void>;
}

export interface Parts {
  config: Config;
  log: Logger;
  /** Hides every secret the service holds; short-lived ones are added to it. */
  redact: Redactor;
  /** Instead of what the configuration says: opened already, or for tests of the core. */
  database?: Database | undefined;
  driver?: SandboxDriver | undefined;
  forge?: Forge | undefined;
  series?: MetricsSource | undefined;
  target?: Target | undefined;
  /** Where the server listens; default: where the configuration says. */
  port?: number | undefined;
}

/** The tokens git works with live for an hour; they are hidden like every other secret. */
const withHiddenTokens = (forge: Forge, redact: Redactor): Forge => ({
  ...forge,
  async credentials(ref) {
    const credentials = await forge.credentials(ref);
    redact.add(credentials.password);
    return credentials;
  },
});

const isLoopback = (host: string): boolean => /^(localhost|127(\.\d+){3}|::1)$/.test(host);

/** The composition root: every part but the surfaces. */
export async function createComio({ config, log, ...given }: Parts): Promise<Comio> {
  await using building = new AsyncDisposableStack();
  const database =
    given.database ??
    building.use(await openDatabase({ url: config.DATABASE_URL, dataDir: config.COMIO_DATA_DIR, log }));
  await migrate(database.db, log);
  const { db } = database;
  if (database.ownsAlone) await db.updateTable('conversation').set({ sender_until: null }).execute();
  const { redact } = given;
  const { version } = packageJson;
  const metrics = createMetrics();
  const tracing = building.use(await openTracing(config, { version, log, redact }));
  const watching = { metrics, tracing };
  const jobs = building.use(
    await openJobs(database, {
      log,
      queues,
      tracing,
      onJob: (queue, result, ms) => metrics.jobs.observe({ queue, result }, ms / 1000),
    }),
  );

  const surfaces = new Map<SurfaceName, Surface>();
  const driver = observedDriver(
    given.driver ?? building.use(drivers.docker({ dockerHost: config.DOCKER_HOST, log })),
    watching,
  );
  const signedIn =
    given.forge ?? (forges.github.configured(config) ? await forges.github.create(config, log) : undefined);
  const forge = signedIn && withHiddenTokens(withPatience(signedIn), redact);
  const chosen = chooseModel(config);
  const model = chosen && {
    provider: withRetry(
      observedProvider(chosen.provider, { ...watching, prices: config.LLM_PRICES }),
      MODEL_RETRY,
    ),
    name: chosen.model,
  };
  const stops = building.use(createStops(db, log));
  const outbox = createOutbox({
    db,
    jobs,
    surfaces: () => surfaces,
    redact,
    log,
    onSent(surface, result, waitedMs) {
      metrics.sends.inc({ surface, result });
      if (waitedMs !== undefined) metrics.firstSends.observe({ surface }, waitedMs / 1000);
    },
  });
  const inbox = createInbox({
    db,
    jobs,
    outbox,
    redact,
    log,
    onReceived: ({ conversation }, result) => metrics.messages.inc({ surface: conversation.surface, result }),
  });
  building.use(createReaper({ db, driver, idleMs: config.SANDBOX_IDLE_MINUTES * 60_000, log }));
  const images = createImages(db, config.PUBLIC_URL);
  const approvals = createApprovals({ db, jobs, outbox, log });
  const transport = createGitTransport({ dataDir: join(config.COMIO_DATA_DIR, 'repositories'), log });
  const series = given.series ?? metricsSources.prometheus(config);
  const watch = createWatch({
    db,
    jobs,
    outbox,
    metrics: series,
    stepMs: config.WATCH_STEP_SECONDS * 1000,
    windowMs: config.WATCH_MINUTES * 60_000,
    log,
  });
  const remediation = createRemediation({
    db,
    jobs,
    outbox,
    approvals,
    driver,
    transport,
    forge,
    watch,
    deniedPaths: config.DENIED_PATHS,
    autoFix: config.AUTO_FIX,
    log,
  });
  const { onTurnEnded } = remediation;
  const runCommands = createRunCommands({ outbox, jobs, onTurnEnded });
  const { stop: stopRun } = runCommands.verbs;
  if (!stopRun) throw new Error('unreachable: runs can be stopped');
  const bus = building.use(await buses[config.EVENT_BUS]({ ...jobs.engine, log }));
  const monitor = createMonitor({
    db,
    jobs,
    source: series,
    publish: (event) => bus.publish(event),
    images,
    settings: { stepMs: config.DETECT_STEP_SECONDS * 1000 },
    log,
  });
  const target =
    given.target ??
    building.use(
      createHostTarget({
        dockerHost: config.DOCKER_HOST,
        databaseUrl: config.DATABASE_URL,
        dataDir: config.COMIO_DATA_DIR,
        log,
      }),
    );
  const deployments = building.use(
    createDeployments({
      db,
      ownsAlone: database.ownsAlone,
      jobs,
      outbox,
      approvals,
      target,
      forge,
      transport,
      hosts: createHosts({
        domain: config.DEPLOY_DOMAIN,
        publicUrl: config.PUBLIC_URL,
        port: given.port ?? config.PORT,
      }),
      limits: { memoryMb: config.DEPLOY_MEMORY_MB, cpus: config.DEPLOY_CPUS, pids: config.SANDBOX_PIDS },
      stopRun,
      async onLive(trx, event) {
        await remediation.onLive(trx, event);
        await monitor.follow(event.environmentId, trx);
      },
      log,
    }),
  );
  const incidents = createIncidentsPart({
    db,
    jobs,
    bus,
    outbox,
    transport,
    forge,
    metrics: series,
    stepMs: config.DETECT_STEP_SECONDS * 1000,
    logs: target.logs,
    model,
    alertsToken: config.ALERTS_TOKEN,
    quietMs: config.INCIDENT_QUIET_MINUTES * 60_000,
    onDiagnosed: remediation.onDiagnosed,
    onSignal: (kind, result) => metrics.signals.inc({ kind, result }),
    redact,
    log,
  });
  const dispatch = createDispatch({
    db,
    outbox,
    stops,
    surfaces: () => surfaces,
    forge,
    handlers: [
      runCommands,
      approvals.handlers,
      deployments.handlers,
      remediation.handlers,
      incidents.handlers,
    ],
    talk: runCommands.talk,
    openTurn,
    log,
  });
  const engine = createEngine({
    db,
    jobs,
    outbox,
    stops,
    driver,
    forge,
    transport,
    limits: {
      memoryMb: config.SANDBOX_MEMORY_MB,
      cpus: config.SANDBOX_CPUS,
      pids: config.SANDBOX_PIDS,
    },
    network: config.SANDBOX_NETWORK,
    model,
    redact,
    maxSteps: config.MAX_STEPS,
    deniedPaths: config.DENIED_PATHS,
    onTurnEnded,
    ...observedRuns(watching),
    log,
  });

  const startedAt = new Date();
  let started = false;
  const app = createServer({
    metrics,
    readings: () => metricsView({ db, driver, queues: Object.keys(queues), log }),
    ready: async () => {
      await db.selectFrom('project').select('id').limit(1).execute();
      return [...(started ? [] : ['starting'])];
    },
    status: () =>
      statusView({
        db,
        database: DATABASE_NAMES[database.kind],
        driver,
        surfaces,
        startedAt,
        version,
        redact,
        isPublic: config.PUBLIC_URL !== undefined || !isLoopback(config.HOST),
      }),
    image: images.png,
    log,
  });

  mountDiscovery(app, { live: deployments.live, token: config.METRICS_TOKEN });

  incidents.mount(app);

  async function start(list: readonly Surface[]): Promise<void> {
    await incidents.start();
    for (const surface of list) {
      surfaces.set(surface.name, surface);
      for (const result of ['ok', 'error', 'dead']) metrics.sends.inc({ surface: surface.name, result }, 0);
      surface.mount(app);
    }
    await deployments.start();
    await startWork(jobs, {
      dispatch,
      outbox,
      engine,
      approvals,
      deployments,
      remediation,
      watch,
      monitor,
      concurrency: config.WORKERS,
      log,
    });
    await monitor.start();
    await Promise.all(list.map((surface) => surface.start()));
    started = true;
  }

  const held = building.move();
  return {
    app,
    proxy: deployments.proxy,
    receive: observedReceive(inbox.receive, watching),
    images,
    start,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
