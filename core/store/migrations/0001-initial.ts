import { type Kysely, sql } from 'kysely';

// Text ids are UUIDs made by us; bigint identities only where order of insertion is the meaning.
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create extension if not exists vector`.execute(db);

  await sql`
    create table project (
      id text primary key,
      name text not null,
      description text not null,
      origin text not null check (origin in ('created', 'imported')),
      forge_owner text,
      forge_name text,
      clone_url text,
      html_url text,
      default_branch text not null,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create unique index project_forge on project (lower(forge_owner), lower(forge_name))`.execute(db);

  await sql`
    create table run (
      id text primary key,
      project_id text not null references project,
      title text not null,
      branch text not null,
      sandbox_id text,
      pull_request integer,
      pull_request_url text,
      published_sha text,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index run_project on run (project_id, pull_request)`.execute(db);

  await sql`
    create table conversation (
      id text primary key,
      surface text not null,
      key text not null,
      address jsonb not null,
      project_id text references project,
      run_id text references run,
      edited_at timestamptz,
      sender text,
      sender_until timestamptz,
      created_at timestamptz not null default now(),
      unique (surface, key)
    )`.execute(db);

  await sql`
    create table turn (
      id text primary key,
      run_id text not null references run,
      seq integer not null,
      conversation_id text not null references conversation,
      message_id text not null,
      verb text not null,
      request text not null,
      requested_by jsonb not null,
      state text not null check (state in ('queued', 'working', 'done', 'failed', 'stopped', 'undone')),
      epoch integer not null default 0,
      stop_requested_at timestamptz,
      stop_requested_by text,
      checkpoint text,
      end_checkpoint text,
      error text,
      created_at timestamptz not null default now(),
      started_at timestamptz,
      ended_at timestamptz,
      unique (run_id, seq),
      unique (message_id, verb)
    )`.execute(db);
  await sql`create index turn_open on turn (run_id, seq) where state in ('queued', 'working')`.execute(db);
  await sql`create index turn_recent on turn (created_at desc)`.execute(db);

  await sql`
    create table message (
      id text primary key,
      conversation_id text not null references conversation,
      inbound jsonb not null,
      sent_at timestamptz not null,
      received_at timestamptz not null default now(),
      outcome text check (outcome in ('answered', 'queued', 'applied', 'ignored', 'refused')),
      outcome_detail text,
      turn_id text references turn,
      applied_at timestamptz
    )`.execute(db);
  await sql`create index message_steering on message (turn_id, sent_at) where applied_at is null`.execute(db);
  await sql`create index message_open on message (received_at) where outcome is null`.execute(db);

  await sql`
    create table step (
      turn_id text not null references turn on delete cascade,
      seq integer not null,
      kind text not null,
      state text not null check (state in ('started', 'done', 'failed')),
      title text not null,
      summary text,
      input jsonb not null,
      output jsonb,
      intent jsonb,
      started_at timestamptz not null default now(),
      ended_at timestamptz,
      primary key (turn_id, seq)
    )`.execute(db);

  await sql`
    create table outbox (
      id bigint generated always as identity primary key,
      key text not null unique,
      conversation_id text not null references conversation,
      content jsonb not null,
      priority integer not null,
      version integer not null default 1,
      sent_version integer not null default 0,
      state text not null default 'pending' check (state in ('pending', 'sending', 'sent', 'dead')),
      ref jsonb,
      attempts integer not null default 0,
      next_at timestamptz not null default now(),
      error text,
      created_at timestamptz not null default now(),
      sent_at timestamptz
    )`.execute(db);
  await sql`
    create index outbox_due on outbox (conversation_id, priority, id) where state in ('pending', 'sending')`.execute(
    db,
  );

  await sql`
    create table audit (
      id bigint generated always as identity primary key,
      at timestamptz not null default now(),
      actor text not null,
      action text not null,
      subject text not null,
      detail jsonb not null
    )`.execute(db);
  await sql`create index audit_at on audit (at desc)`.execute(db);
}
