import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table series_state (
      environment_id text not null references environment,
      series text not null,
      state jsonb not null,
      pending jsonb not null default '[]',
      version integer not null default 1,
      updated_at timestamptz not null default now(),
      primary key (environment_id, series)
    )`.execute(db);
}
