import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table incident
      add column quiet_since timestamptz,
      add column settled_from text check (settled_from in ('diagnosed', 'unresolved'))`.execute(db);
  await sql`create index incident_ended on incident (environment_id, ended_at) where ended_at is not null`.execute(
    db,
  );
  await sql`alter table signal add column taken_at timestamptz not null default now()`.execute(db);
}
