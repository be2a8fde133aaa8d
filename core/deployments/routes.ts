import type { Kysely } from 'kysely';
import type { Logger } from '#observability/log.ts';
import type { Schema } from '../store/schema.ts';

export interface Route {
  /** undefined: the environment is known, and nothing is live in it. */
  deploymentId: string | undefined;
  address: { host: string; port: number } | undefined;
  labels: { app: string; project: string; environment: string; commit: string };
}

/** How stale the table of another process may be, in milliseconds. */
export const REFRESH_MS = 500;

/**
 * Which instance answers for which host name, in memory. The database is the truth: this is read again after a swap in
 * this process and otherwise at intervals; whoever replaces an instance lets it live until every process has looked.
 */
export interface Routes extends Disposable {
  find(label: string): Route | undefined;
  refresh(): Promise<void>;
  all(): Route[];
}

export function createRoutes({ db, log }: { db: Kysely<Schema>; log: Logger }): Routes {
  let table: ReadonlyMap<string, Route> = new Map();
  let started = 0;
  let applied = 0;

  async function refresh(): Promise<void> {
    started += 1;
    const mine = started;
    const rows = await db
      .selectFrom('environment')
      .innerJoin('project', 'project.id', 'environment.project_id')
      .leftJoin('deployment', 'deployment.id', 'environment.live_deployment_id')
      .leftJoin('release', 'release.id', 'deployment.release_id')
      .select([
        'environment.host',
        'environment.name as environment',
        'project.name as project',
        'deployment.id as deploymentId',
        'deployment.address',
        'release.commit_sha as commit',
      ])
      .execute();
    // A slow answer must not undo what a later question has learnt.
    if (mine < applied) return;
    applied = mine;
    table = new Map(
      rows.map(({ host, project, environment, commit, deploymentId, address }) => [
        host,
        {
          deploymentId: deploymentId ?? undefined,
          address: address ?? undefined,
          labels: { app: host, project, environment, commit: commit ?? '' },
        },
      ]),
    );
  }

  const timer = setInterval(() => {
    refresh().catch((error: unknown) =>
      log.warn({ err: error }, 'the table of live deployments could not be read; the last one counts'),
    );
  }, REFRESH_MS);
  timer.unref();
  return {
    find: (label) => table.get(label),
    refresh,
    all: () => [...table.values()],
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
