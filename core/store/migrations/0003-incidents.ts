import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table incident (
      id text primary key,
      project_id text not null references project,
      environment_id text references environment,
      fingerprint text not null,
      title text not null,
      severity text not null check (severity in ('info', 'warning', 'critical')),
      state text not null check (state in (
        'open', 'diagnosing', 'diagnosed', 'fixing', 'waiting', 'watching', 'resolved', 'unresolved'
      )),
      epoch integer not null default 0,
      conversation_id text not null references conversation,
      began_at timestamptz not null,
      opened_at timestamptz not null default now(),
      gathered_at timestamptz,
      notes jsonb not null default '[]',
      problem text,
      ended_at timestamptz
    )`.execute(db);
  await sql`create index incident_recent on incident (project_id, opened_at desc)`.execute(db);
  await sql`create index incident_open on incident (environment_id) where ended_at is null`.execute(db);
  await sql`
    create table signal (
      id text primary key,
      incident_id text references incident,
      kind text not null check (kind in ('alert', 'finding')),
      fingerprint text not null,
      title text not null,
      query text,
      labels jsonb not null,
      payload jsonb not null,
      starts_at timestamptz not null,
      ends_at timestamptz,
      seen integer not null default 1
    )`.execute(db);
  await sql`create index signal_incident on signal (incident_id, starts_at)`.execute(db);
  await sql`
    create table evidence (
      incident_id text not null references incident,
      number integer not null,
      kind text not null check (kind in ('signal', 'metric', 'log', 'deployment', 'commit')),
      title text not null,
      text text not null,
      data jsonb not null,
      at timestamptz not null default now(),
      primary key (incident_id, number)
    )`.execute(db);
  await sql`
    create table diagnosis (
      id text primary key,
      incident_id text not null unique references incident,
      root_cause text,
      category text not null check (category in (
        'code', 'configuration', 'dependency', 'load', 'infrastructure', 'data', 'unknown'
      )),
      confidence double precision not null,
      said_confidence double precision not null,
      cap_reason text,
      claims jsonb not null,
      dropped jsonb not null,
      next_actions jsonb not null,
      model text not null,
      created_at timestamptz not null default now()
    )`.execute(db);
  // Where a run's workspace starts, if not at the tip of a branch.
  await sql`alter table run add column base_sha text`.execute(db);
  await sql`
    create table remediation (
      id text primary key,
      incident_id text not null references incident,
      run_id text not null references run,
      base_sha text not null,
      state text not null check (state in (
        'working', 'proposed', 'approved', 'published', 'deployed', 'rejected', 'failed'
      )),
      epoch integer not null default 0,
      requested_by jsonb not null,
      proposal jsonb,
      approval_id text references approval,
      error text,
      created_at timestamptz not null default now(),
      ended_at timestamptz
    )`.execute(db);
  await sql`create unique index remediation_run on remediation (run_id)`.execute(db);
  await sql`
    create unique index remediation_open on remediation (incident_id)
    where state in ('working', 'proposed', 'approved', 'published')`.execute(db);
  await sql`
    create table watch (
      id text primary key,
      incident_id text not null references incident,
      deployment_id text not null references deployment,
      remediation_id text not null references remediation,
      series jsonb not null,
      state text not null check (state in ('watching', 'recovered', 'not_recovered')),
      epoch integer not null default 0,
      samples jsonb not null default '[]',
      step_ms integer not null,
      until timestamptz not null,
      result text,
      created_at timestamptz not null default now(),
      ended_at timestamptz,
      unique (incident_id, deployment_id)
    )`.execute(db);
  await sql`
    create table feedback (
      subject text not null check (subject in ('diagnosis')),
      subject_id text not null,
      person_id text not null,
      person jsonb not null,
      value integer not null check (value in (-1, 1)),
      comment text,
      created_at timestamptz not null default now(),
      primary key (subject, subject_id, person_id)
    )`.execute(db);
}
