import { randomUUID } from 'node:crypto';
import type { Kysely, Selectable, Transaction } from 'kysely';
import type { Project } from '../projects/projects.ts';
import type { Schema } from '../store/schema.ts';
import type { Hosts } from './host.ts';
import type { DeploymentTable, EnvironmentName, EnvironmentTable, ReleaseTable } from './tables.ts';

export type Environment = Selectable<EnvironmentTable>;
export type Deployment = Selectable<DeploymentTable>;
export type Release = Selectable<ReleaseTable>;

/** Those of which an environment has one at a time. */
export const UNDER_WAY = ['building', 'starting', 'checking'] as const;
/** Those that are not decided yet. */
export const OPEN = ['waiting', 'queued', ...UNDER_WAY] as const;

export const isUnderWay = ({ state }: Pick<Deployment, 'state'>): boolean =>
  (UNDER_WAY as readonly string[]).includes(state);
export const isOpen = ({ state }: Pick<Deployment, 'state'>): boolean =>
  (OPEN as readonly string[]).includes(state);

/** A label of a host name has at most 63 characters; `-staging` and a suffix must fit. */
const MAX_NAME = 40;

/** Of the project; made on first use. Its host name stays for good. */
export async function environmentOf(
  trx: Transaction<Schema>,
  hosts: Hosts,
  project: Project,
  name: EnvironmentName,
): Promise<Environment> {
  const find = () =>
    trx
      .selectFrom('environment')
      .selectAll()
      .where('project_id', '=', project.id)
      .where('name', '=', name)
      .executeTakeFirst();
  const existing = await find();
  if (existing) return existing;
  const host = await freeHost(trx, hosts, project, name);
  await trx
    .insertInto('environment')
    .values({ id: randomUUID(), project_id: project.id, name, host })
    .onConflict((conflict) => conflict.columns(['project_id', 'name']).doNothing())
    .execute();
  const made = await find();
  if (!made) throw new Error('unreachable: it was inserted or was there');
  return made;
}

async function freeHost(
  trx: Transaction<Schema>,
  hosts: Hosts,
  project: Project,
  name: EnvironmentName,
): Promise<string> {
  const slug =
    project.name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .slice(0, MAX_NAME)
      .replace(/^-+|-+$/g, '') || 'app';
  const full = (base: string) => (name === 'production' ? base : `${base}-${name}`);
  const wanted = full(slug);
  const taken = await trx
    .selectFrom('environment')
    .select('id')
    .where('host', '=', wanted)
    .executeTakeFirst();
  const free = !taken && !hosts.reserved.has(wanted);
  return free ? wanted : full(`${slug}-${project.id.replaceAll('-', '').slice(0, 6)}`);
}

/** The newest deployment before the live one that ran another release. */
export async function releaseBefore(db: Kysely<Schema>, live: Deployment): Promise<Release | undefined> {
  const seen = new Set([live.id]);
  let before = live.previous_id;
  while (before !== null && !seen.has(before)) {
    seen.add(before);
    const found: Pick<Deployment, 'release_id' | 'previous_id'> = await db
      .selectFrom('deployment')
      .select(['release_id', 'previous_id'])
      .where('id', '=', before)
      .executeTakeFirstOrThrow();
    if (found.release_id !== null && found.release_id !== live.release_id)
      return db.selectFrom('release').selectAll().where('id', '=', found.release_id).executeTakeFirst();
    before = found.previous_id;
  }
  return undefined;
}

export const shortSha = (sha: string): string => sha.slice(0, 7);
