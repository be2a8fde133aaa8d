import { randomUUID } from 'node:crypto';
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import type { Repository } from '#adapters/forge/forge.ts';
import type { ProjectTable, Schema } from '../store/schema.ts';

export type Project = Selectable<ProjectTable>;

export const createProject = (
  trx: Transaction<Schema>,
  project: { name: string; description: string },
): Promise<Project> =>
  trx
    .insertInto('project')
    .values({
      id: randomUUID(),
      name: project.name,
      description: project.description,
      origin: 'created',
      default_branch: 'main',
    })
    .returningAll()
    .executeTakeFirstOrThrow();

/** The project of a repository; made on first sight. */
export async function importProject(trx: Transaction<Schema>, repository: Repository): Promise<Project> {
  const existing = await projectOf(trx, repository);
  if (existing) return existing;
  return trx
    .insertInto('project')
    .values({
      id: randomUUID(),
      name: repository.name,
      description: '',
      origin: 'imported',
      forge_owner: repository.owner,
      forge_name: repository.name,
      clone_url: repository.cloneUrl,
      html_url: repository.htmlUrl,
      default_branch: repository.defaultBranch,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
}

export const projectOf = (
  db: Kysely<Schema>,
  repository: { owner: string; name: string },
): Promise<Project | undefined> =>
  db
    .selectFrom('project')
    .selectAll()
    .where(sql`lower(forge_owner)`, '=', repository.owner.toLowerCase())
    .where(sql`lower(forge_name)`, '=', repository.name.toLowerCase())
    .executeTakeFirst();

const STOP_WORDS = new Set([
  'a',
  'an',
  'the',
  'for',
  'with',
  'and',
  'of',
  'to',
  'in',
  'that',
  'which',
  'some',
  'me',
]);

/** A repository name from a sentence: "an API for cooking recipes with tests" → `api-cooking-recipes-tests`. */
export function nameFor(sentence: string): string {
  const words = sentence
    .normalize('NFKD')
    .toLowerCase()
    .match(/[a-z0-9]+/g);
  const telling = (words ?? []).filter((word) => !STOP_WORDS.has(word)).slice(0, 4);
  return telling.join('-').slice(0, 60) || 'project';
}
