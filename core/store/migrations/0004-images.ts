import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table image (
      id text primary key,
      png bytea not null,
      created_at timestamptz not null default now()
    )`.execute(db);
}
