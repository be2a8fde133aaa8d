import type { Kysely } from 'kysely';
import type { SandboxDriver } from '#sandbox/sandbox.ts';
import type { Surface, SurfaceName } from './conversations/surface.ts';
import type { StatusView } from './status-page.ts';
import type { Schema } from './store/schema.ts';

const RECENT = 10;

/** What the status page shows, read when it is asked for. */
export async function statusView(deps: {
  db: Kysely<Schema>;
  database: 'pglite' | 'postgres';
  driver: SandboxDriver;
  surfaces: ReadonlyMap<SurfaceName, Surface>;
  model: string | undefined;
}): Promise<StatusView> {
  void deps;
  throw new Error('written with the page');
}
