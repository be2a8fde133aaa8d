import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Logger } from '#observability/log.ts';
import { LONG_SECONDS, type Reading } from '#observability/row-metrics.ts';
import type { SandboxDriver } from '#sandbox/sandbox.ts';
import type { Schema } from './store/schema.ts';

/** A driver that takes longer than this many milliseconds is left out of the scrape. */
const DRIVER_MS = 2000;

/**
 * What the tables say, for a scrape: one statement over partial indexes and small tables, and one question to the
 * sandbox driver. Throws when the database is away.
 */
export async function metricsView(deps: {
  db: Kysely<Schema>;
  driver: SandboxDriver;
  queues: readonly string[];
  log: Logger;
}): Promise<Reading[]> {
  const [{ rows }, sandboxes] = await Promise.all([
    readRows(deps.queues).execute(deps.db),
    readSandboxes(deps),
  ]);
  return [...rows, ...sandboxes];
}

const readRows = (queues: readonly string[]) => sql<Reading>`
  with waiting as (
    select name, state, start_after, greatest(created_on, start_after) as due
    from pgboss.job where state < 'active' and not blocked
  ), held as (
    select name, state from pgboss.job where state in ('active', 'failed') and policy = 'key_strict_fifo'
  ), queue (name) as (select unnest(${[...queues]}::text[])
  ), job as (
    select name, case when state = 'retry' then 'retry' when start_after > now() then 'scheduled' else 'ready' end as state
    from waiting
    union all select name, state::text from held
  ), deployed as (
    select environment.name as environment,
      case when live_at is not null then 'succeeded' else state end as outcome,
      extract(epoch from coalesce(live_at, ended_at) - coalesce((phases -> 0 ->> 'at')::timestamptz, deployment.created_at)) as seconds
    from deployment join environment on environment.id = environment_id
    where live_at is not null or state in ('failed', 'rejected', 'stopped')
  ), diagnosed as (
    select extract(epoch from min(diagnosis.created_at) - min(opened_at)) as seconds
    from diagnosis join incident on incident.id = incident_id group by incident_id
  )
  select 'comio_turns_open' as name, '{}'::jsonb as labels, count(*)::float8 as value
    from turn where state in ('queued', 'working')
  union all select 'comio_turns_queued', '{}', count(*) from turn where state = 'queued' and state in ('queued', 'working')
  union all select 'comio_messages_undecided', '{}', count(*) from message where outcome is null
  union all select 'comio_messages_oldest_undecided_age_seconds', '{}', ${age(sql`min(received_at)`)}
    from message where outcome is null
  union all select 'comio_outbox_pending', '{}', count(*) from outbox where state in ('pending', 'sending')
  union all select 'comio_outbox_oldest_age_seconds', '{}', ${age(sql`min(created_at)`)}
    from outbox where state in ('pending', 'sending') and sent_version = 0
  union all select 'comio_queue_jobs', jsonb_build_object('queue', queue.name, 'state', s.state), count(job.name)
    from queue cross join unnest(array['ready', 'scheduled', 'retry', 'active', 'failed']) as s (state)
    left join job on job.name = queue.name and job.state = s.state group by queue.name, s.state
  union all select 'comio_queue_oldest_age_seconds', jsonb_build_object('queue', queue.name), ${age(sql`min(due)`)}
    from queue left join waiting on waiting.name = queue.name group by queue.name
  union all select 'comio_incidents_open', jsonb_build_object('severity', severity), count(*)
    from incident where ended_at is null group by severity
  union all select 'comio_incidents_opened_total', jsonb_build_object('kind', kind), count(*) from (
    select distinct on (incident_id) kind from signal order by incident_id, starts_at, id
  ) as opening group by kind
  union all select 'comio_deployments_open', '{}', count(*)
    from deployment where state in ('waiting', 'queued', 'building', 'starting', 'checking')
  union all select 'comio_deployments_total', jsonb_build_object('environment', environment, 'outcome', outcome), count(*)
    from deployed group by environment, outcome
  union all select 'comio_approvals_waiting', jsonb_build_object('subject', subject), count(*)
    from approval where state = 'pending' group by subject
  union all select 'comio_approvals_decided_total', jsonb_build_object('subject', subject, 'decision', state), count(*)
    from approval where state <> 'pending' group by subject, state
  union all ${histogram(
    'comio_deployment_duration_seconds',
    sql`select seconds from deployed where outcome in ('succeeded', 'failed')`,
  )}
  union all ${histogram('comio_incident_diagnosis_duration_seconds', sql`select seconds from diagnosed`)}`;

const age = (since: RawBuilder<unknown>) =>
  sql`greatest(0, coalesce(extract(epoch from now() - ${since}), 0))::float8`;

/** Cumulative buckets, as Prometheus counts them. */
const histogram = (name: string, seconds: RawBuilder<unknown>) => sql`
  select ${`${name}_bucket`}, jsonb_build_object('le', case when le = 'infinity' then '+Inf' else le::text end),
    count(d.seconds)::float8
    from unnest(${[...LONG_SECONDS, 'infinity']}::float8[]) as bound (le)
    left join (${seconds}) as d on d.seconds <= le group by le
  union all select ${`${name}_sum`}, '{}', coalesce(sum(d.seconds), 0)::float8 from (${seconds}) as d
  union all select ${`${name}_count`}, '{}', count(*)::float8 from (${seconds}) as d`;

/** Those of runs of ours: a daemon may hold others. */
async function readSandboxes(deps: {
  db: Kysely<Schema>;
  driver: SandboxDriver;
  log: Logger;
}): Promise<Reading[]> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${DRIVER_MS} ms`)), DRIVER_MS);
  try {
    const there = await Promise.race([deps.driver.list(), late]);
    const ids = there.map(({ id }) => id);
    const ours = await deps.db
      .selectFrom('run')
      .select('sandbox_id')
      .where('sandbox_id', 'in', [...ids, ''])
      .execute();
    const known = new Set(ours.map(({ sandbox_id }) => sandbox_id));
    return (['running', 'stopped'] as const).map((state) => ({
      name: 'comio_sandboxes',
      labels: { state },
      value: there.filter((sandbox) => sandbox.state === state && known.has(sandbox.id)).length,
    }));
  } catch (error) {
    deps.log.warn({ error }, 'the sandboxes could not be counted');
    return [];
  } finally {
    clearTimeout(timer);
  }
}
