import type { Hono } from 'hono';
import { z } from 'zod';
import type { Caller } from './github-access.ts';
import { refusal } from './github-wire.ts';

/** What a check run takes: https://docs.github.com/en/rest/checks/runs. */
const runSchema = z.strictObject({
  name: z.string().min(1),
  head_sha: z.string().regex(/^[0-9a-f]{40}$/),
  external_id: z.string().optional(),
  status: z.enum(['queued', 'in_progress', 'completed']).default('queued'),
  conclusion: z
    .enum(['action_required', 'cancelled', 'failure', 'neutral', 'success', 'skipped', 'timed_out'])
    .optional(),
  output: z.strictObject({ title: z.string().min(1).max(255), summary: z.string().max(65_535) }).optional(),
  actions: z
    .array(
      z.strictObject({
        label: z.string().min(1).max(20),
        description: z.string().min(1).max(40),
        identifier: z.string().min(1).max(20),
      }),
    )
    .max(3)
    .default([]),
});
const changeSchema = runSchema.omit({ head_sha: true }).partial();

export type CheckRun = z.output<typeof runSchema> & { id: number };

/** Check runs, which the emulator keeps only for commits it knows itself. */
export function createChecks(appId: number) {
  /** By `owner/name`. */
  const all = new Map<string, CheckRun[]>();
  let count = 0;
  const wire = (run: CheckRun) => ({
    ...run,
    external_id: run.external_id ?? null,
    conclusion: run.conclusion ?? null,
    app: { id: appId, slug: 'comio' },
    pull_requests: [],
  });

  return {
    on: (repository: string): readonly CheckRun[] => all.get(repository) ?? [],
    /** The payload of somebody's press on one of its buttons. */
    pressed(repository: string, id: number, identifier: string) {
      const run = all.get(repository)?.find((candidate) => candidate.id === id);
      // GitHub shows buttons on completed runs only.
      if (run?.status !== 'completed' || !run.actions.some((action) => action.identifier === identifier))
        throw new Error(`check run ${id} has no button ${identifier}`);
      return { action: 'requested_action', requested_action: { identifier }, check_run: wire(run) };
    },
    /** `exists` tells whether the repository has this commit. */
    mount(
      app: Hono,
      callerOf: (authorization: string | undefined) => Caller,
      exists: (repository: string, sha: string) => Promise<boolean>,
    ): void {
      app.use('/repos/:owner/:repo/check-runs/*', async (context, next) => {
        const caller = callerOf(context.req.header('authorization'));
        return caller.kind === 'installation' && caller.permissions.checks === 'write'
          ? next()
          : context.json(refusal('Resource not accessible by integration'), 403);
      });
      app.post('/repos/:owner/:repo/check-runs', async (context) => {
        const name = `${context.req.param('owner')}/${context.req.param('repo')}`;
        const run = runSchema.safeParse(await context.req.json());
        if (!run.success) return context.json(refusal('Invalid request.', z.prettifyError(run.error)), 422);
        if (!(await exists(name, run.data.head_sha)))
          return context.json(refusal(`No commit found for SHA: ${run.data.head_sha}`), 422);
        count += 1;
        const made = { ...run.data, id: count };
        all.set(name, [...(all.get(name) ?? []), made]);
        return context.json(wire(made), 201);
      });
      app.patch('/repos/:owner/:repo/check-runs/:id', async (context) => {
        const { owner, repo, id } = context.req.param();
        const run = all.get(`${owner}/${repo}`)?.find((candidate) => candidate.id === Number(id));
        if (!run) return context.json(refusal('Not Found'), 404);
        const change = changeSchema.safeParse(await context.req.json());
        if (!change.success)
          return context.json(refusal('Invalid request.', z.prettifyError(change.error)), 422);
        Object.assign(run, change.data);
        return context.json(wire(run));
      });
      app.get('/repos/:owner/:repo/commits/:sha/check-runs', (context) => {
        const { owner, repo, sha } = context.req.param();
        const runs = (all.get(`${owner}/${repo}`) ?? []).filter(({ head_sha }) => head_sha === sha);
        const [page, size] = [
          Number(context.req.query('page') ?? 1),
          Number(context.req.query('per_page') ?? 30),
        ];
        return context.json({
          total_count: runs.length,
          check_runs: runs.slice((page - 1) * size, page * size).map(wire),
        });
      });
    },
  };
}
