import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table environment (
      id text primary key,
      project_id text not null references project,
      name text not null check (name in ('staging', 'production')),
      host text not null unique,
      live_deployment_id text,
      created_at timestamptz not null default now(),
      unique (project_id, name)
    )`.execute(db);
  await sql`
    create table release (
      id text primary key,
      project_id text not null references project,
      commit_sha text not null,
      commit_message text not null,
      image text,
      port integer,
      recipe text,
      created_at timestamptz not null default now(),
      unique (project_id, commit_sha)
    )`.execute(db);
  await sql`
    create table approval (
      id text primary key,
      subject text not null check (subject in ('deployment', 'remediation')),
      subject_id text not null,
      digest text not null,
      card jsonb not null,
      conversation_id text not null references conversation,
      required_role text not null check (required_role in ('viewer', 'operator', 'admin')),
      requested_by jsonb not null,
      four_eyes boolean not null,
      state text not null default 'pending'
        check (state in ('pending', 'approved', 'rejected', 'expired', 'withdrawn')),
      decided_by jsonb,
      reason text,
      created_at timestamptz not null default now(),
      expires_at timestamptz not null,
      decided_at timestamptz,
      unique (subject, subject_id, digest)
    )`.execute(db);
  await sql`create index approval_pending on approval (conversation_id) where state = 'pending'`.execute(db);
  await sql`
    create table deployment (
      id text primary key,
      environment_id text not null references environment,
      release_id text references release,
      kind text not null check (kind in ('deploy', 'rollback')),
      ref text,
      state text not null check (state in (
        'waiting', 'queued', 'building', 'starting', 'checking', 'live', 'replaced', 'failed', 'rejected', 'stopped'
      )),
      epoch integer not null default 0,
      approval_id text references approval,
      conversation_id text not null references conversation,
      message_id text not null unique,
      requested_by jsonb not null,
      address jsonb,
      forge_deployment text,
      forge_status text,
      previous_id text references deployment,
      stop_requested_by text,
      phases jsonb not null default '[]',
      error text,
      created_at timestamptz not null default now(),
      live_at timestamptz,
      drain_until timestamptz,
      ended_at timestamptz
    )`.execute(db);
  await sql`create index deployment_recent on deployment (environment_id, created_at desc)`.execute(db);
  await sql`create index deployment_held on deployment (state) where drain_until is not null`.execute(db);
  await sql`
    alter table environment
      add foreign key (live_deployment_id) references deployment`.execute(db);
}
