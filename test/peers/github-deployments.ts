import type { Context, Hono } from 'hono';
import { z } from 'zod';
import type { Caller } from './github-access.ts';
import { refusal } from './github-wire.ts';

const createSchema = z.object({
  ref: z.string(),
  environment: z.string().default('production'),
  description: z.string().max(140).default(''),
  payload: z.union([z.string(), z.record(z.string(), z.unknown())]).default(''),
  auto_merge: z.boolean().default(true),
  required_contexts: z.array(z.string()).optional(),
  production_environment: z.boolean().optional(),
  transient_environment: z.boolean().default(false),
});
const statusSchema = z.object({
  state: z.enum(['error', 'failure', 'inactive', 'in_progress', 'queued', 'pending', 'success']),
  environment_url: z.url().default(''),
  log_url: z.string().default(''),
  description: z.string().max(140).default(''),
  auto_inactive: z.boolean().default(true),
});

interface Status {
  id: number;
  state: string;
  environment_url: string;
  description: string;
}

export interface PeerDeployment {
  id: number;
  sha: string;
  ref: string;
  environment: string;
  payload: unknown;
  production: boolean;
  /** Oldest first. */
  statuses: Status[];
}

/** https://docs.github.com/en/rest/deployments, as far as an App records what it deploys. */
export function createDeploymentRecords(deps: {
  callerOf: (context: Context) => Caller;
  /** The commit that this name means in a repository. */
  commitOf: (repository: string, ref: string) => Promise<string | undefined>;
}) {
  const all = new Map<string, PeerDeployment[]>();
  let count = 0;
  const on = (name: string): PeerDeployment[] => all.get(name) ?? [];
  const nameOf = (context: Context) => `${context.req.param('owner')}/${context.req.param('repo')}`;
  const mayWrite = (context: Context): boolean => {
    const caller = deps.callerOf(context);
    return caller.kind === 'installation' && caller.permissions.deployments === 'write';
  };
  const shown = ({ id, sha, ref, environment, payload, production }: PeerDeployment) => ({
    id,
    sha,
    ref,
    task: 'deploy',
    environment,
    payload,
    production_environment: production,
  });

  return {
    on,
    mount(app: Hono): void {
      app.use('/repos/:owner/:repo/deployments/*', async (context, next) => {
        if (context.req.method !== 'GET' && !mayWrite(context))
          return context.json(refusal('Resource not accessible by integration'), 403);
        return next();
      });
      app.get('/repos/:owner/:repo/deployments', (context) => {
        const { sha, environment } = context.req.query();
        const found = on(nameOf(context)).filter(
          (each) =>
            (sha === undefined || each.sha === sha) &&
            (environment === undefined || each.environment === environment),
        );
        return context.json(found.toReversed().map(shown));
      });
      app.post('/repos/:owner/:repo/deployments', async (context) => {
        if (!mayWrite(context)) return context.json(refusal('Resource not accessible by integration'), 403);
        const parsed = createSchema.safeParse(await context.req.json());
        if (!parsed.success) return context.json(refusal('Validation Failed'), 422);
        const { ref, environment, payload, production_environment } = parsed.data;
        const name = nameOf(context);
        const sha = await deps.commitOf(name, ref);
        if (sha === undefined) return context.json(refusal(`No ref found for: ${ref}`), 422);
        // GitHub waits for every check of the commit unless told which.
        if (parsed.data.required_contexts === undefined)
          return context.json(refusal('Conflict: Commit status checks failed.'), 409);
        count += 1;
        const production = production_environment ?? environment === 'production';
        const made = { id: count, sha, ref, environment, payload, production, statuses: [] };
        all.set(name, [...on(name), made]);
        return context.json(shown(made), 201);
      });
      const path = '/repos/:owner/:repo/deployments/:id{[0-9]+}/statuses';
      const find = (context: Context) =>
        on(nameOf(context)).find(({ id }) => id === Number(context.req.param('id')));
      app.get(path, (context) => {
        const found = find(context);
        if (!found) return context.json(refusal('Not Found'), 404);
        const perPage = Number(context.req.query('per_page') ?? 30);
        return context.json(found.statuses.toReversed().slice(0, perPage));
      });
      app.post(path, async (context) => {
        const found = find(context);
        if (!found) return context.json(refusal('Not Found'), 404);
        const parsed = statusSchema.safeParse(await context.req.json());
        if (!parsed.success) return context.json(refusal('Validation Failed'), 422);
        const { state, environment_url, description } = parsed.data;
        count += 1;
        const made = { id: count, state, environment_url, description };
        found.statuses.push(made);
        return context.json(made, 201);
      });
    },
  };
}
