import { type Context, Hono } from 'hono';
import { type Access, type Caller, tokenIn } from './github-access.ts';
import type { createChecks } from './github-checks.ts';
import type { Deliveries } from './github-deliveries.ts';
import { createDeploymentRecords } from './github-deployments.ts';
import type { Emulator } from './github-emulator.ts';
import type { createReactions } from './github-reactions.ts';
import type { Repositories } from './github-repositories.ts';
import { pullSchema, refusal, repositorySchema, type WirePull } from './github-wire.ts';

export interface ApiParts {
  slug: string;
  emulator: Emulator;
  access: Access;
  repositories: Repositories;
  reactions: ReturnType<typeof createReactions>;
  checks: ReturnType<typeof createChecks>;
  deliveries: Deliveries;
  /** Of a member who may create repositories. */
  adminOf(account: string): string;
  /** How the peer itself is called from outside. */
  url(): string;
}

/** GitHub's limit for a comment and for the text of a pull request. */
const MAX_BODY = 65_536;

/**
 * GitHub's REST API: what the emulator does well is its, and whatever has to do with git is read from the bare
 * repositories. What neither knows is refused with 501, so that nobody mistakes it for an answer.
 */
export function createApi(parts: ApiParts) {
  const { emulator, access, repositories, reactions, checks, deliveries } = parts;
  const app = new Hono();
  const tokenHeader = (token: string) => ({
    authorization: `token ${token}`,
    'content-type': 'application/json',
  });
  const callerOf = (context: Context): Caller => access.caller(tokenIn(context.req.header('authorization')));
  const ownerOf = (context: Context): string => context.req.param('owner') ?? '';
  const nameOf = (context: Context) => `${context.req.param('owner')}/${context.req.param('repo')}`;

  /** Its answer, with its own name for itself replaced by ours. */
  async function forward(
    context: Context,
    body?: unknown,
  ): Promise<{ status: number; json: unknown; headers: Headers }> {
    const { method } = context.req;
    const url = new URL(context.req.url);
    const text = method === 'GET' || method === 'HEAD' ? undefined : await context.req.text();
    const authorization = context.req.header('authorization');
    const answer = await emulator.fetch(url.pathname + url.search, {
      method,
      headers: {
        ...(authorization === undefined ? {} : { authorization }),
        ...(text ? { 'content-type': 'application/json' } : {}),
      },
      ...(text ? { body: body === undefined ? text : JSON.stringify(body) } : {}),
    });
    const said = (await answer.text()).replaceAll(emulator.url, parts.url());
    return {
      status: answer.status,
      json: said === '' ? undefined : JSON.parse(said),
      headers: answer.headers,
    };
  }

  function answer(
    context: Context,
    { status, json, headers }: Awaited<ReturnType<typeof forward>>,
  ): Response {
    const link = headers.get('link')?.replaceAll(emulator.url, parts.url());
    return new Response(json === undefined ? null : JSON.stringify(json), {
      status,
      headers: {
        ...(json === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }),
        ...(link ? { link } : {}),
        'x-github-request-id': context.req.header('x-request-id') ?? 'PEER',
      },
    });
  }

  /** With the commits the branches have now; a merged or closed one keeps what it had. */
  const frozen = new Map<string, Partial<WirePull>>();
  async function withCommits(name: string, json: unknown): Promise<unknown> {
    const parsed = pullSchema.safeParse(json);
    if (!parsed.success) return json;
    const pull = parsed.data;
    const key = `${name}#${pull.number}`;
    if (pull.state === 'closed' && frozen.has(key)) return { ...pull, ...frozen.get(key) };
    const [head, base] = await Promise.all([
      repositories.tip(name, pull.head.ref),
      repositories.tip(name, pull.base.ref),
    ]);
    if (head === undefined || base === undefined) return pull;
    const files = await repositories.files(name, base, head);
    const sum = (of: 'additions' | 'deletions') => files.reduce((total, file) => total + file[of], 0);
    const now = {
      head: { ...pull.head, sha: head },
      base: { ...pull.base, sha: base },
      commits: (await repositories.commits(name, base, head)).length,
      changed_files: files.length,
      additions: sum('additions'),
      deletions: sum('deletions'),
    };
    frozen.set(key, now);
    return { ...pull, ...now };
  }

  app.use(async (context, next) => {
    if (callerOf(context).kind === 'unknown') return context.json(refusal('Bad credentials'), 401);
    return next();
  });

  app.post('/app/installations/:id/access_tokens', async (context) => {
    const result = await forward(context);
    if (result.status === 201) {
      const jwt = context.req.header('authorization');
      const installation = await emulator.fetch(`/app/installations/${context.req.param('id')}`, {
        headers: { authorization: jwt ?? '' },
      });
      const { account } = (await installation.json()) as { account: { login: string } };
      const names = (result.json as { repositories?: { full_name: string }[] }).repositories;
      access.issued(account.login, { ...(result.json as object), repositories: names });
    }
    return answer(context, result);
  });

  async function createRepository(context: Context, account: string, path: string): Promise<Response> {
    const { name, description, private: isPrivate } = (await context.req.json()) as Record<string, unknown>;
    const full = `${account}/${name}`;
    const token = tokenHeader(parts.adminOf(account));
    if ((await emulator.fetch(`/repos/${full}`, { headers: token })).ok)
      return context.json(refusal('Repository creation failed.', 'name already exists on this account'), 422);
    // Its own first commit gives the emulator the branches it wants; nobody ever sees it.
    const body = JSON.stringify({ name, description, private: isPrivate ?? false, auto_init: true });
    const made = await emulator.fetch(path, { method: 'POST', headers: token, body });
    if (made.status !== 201) return context.json(refusal('Repository creation failed.'), 422);
    await repositories.create(full);
    const json = JSON.parse((await made.text()).replaceAll(emulator.url, parts.url())) as object;
    return context.json({ ...json, size: 0 }, 201);
  }

  app.post('/orgs/:org/repos', async (context) => {
    const { org } = context.req.param();
    const caller = callerOf(context);
    const may = caller.kind === 'installation' && caller.account === org;
    if (!may) return context.json(refusal('Not Found'), 404);
    if (caller.permissions.administration !== 'write')
      return context.json(refusal('Resource not accessible by integration'), 403);
    return createRepository(context, org, `/orgs/${org}/repos`);
  });

  app.post('/user/repos', async (context) => {
    const caller = callerOf(context);
    if (caller.kind !== 'person') return context.json(refusal('Resource not accessible by integration'), 403);
    return createRepository(context, caller.login, '/user/repos');
  });

  /** Everything below a repository: one that the caller may not see is not there. */
  app.use('/repos/:owner/:repo/*', async (context, next) => {
    const caller = callerOf(context);
    const name = nameOf(context);
    if (caller.kind === 'installation' && context.req.method !== 'GET' && !access.reaches(caller, name))
      return context.json(refusal('Resource not accessible by integration'), 403);
    return next();
  });

  app.get('/repos/:owner/:repo/branches', async (context) => {
    const found = await forward(context);
    if (found.status !== 200) return answer(context, found);
    const branches = await repositories.branches(nameOf(context));
    return context.json(branches.map(({ name, sha }) => ({ name, commit: { sha }, protected: false })));
  });

  app.get('/repos/:owner/:repo/collaborators/:login/permission', async (context) => {
    const { login } = context.req.param();
    const [repository, person] = await Promise.all([
      emulator.fetch(`/repos/${nameOf(context)}`, {
        headers: tokenHeader(parts.adminOf(ownerOf(context))),
      }),
      emulator.fetch(`/users/${login}`),
    ]);
    if (!repository.ok || !person.ok) return context.json(refusal('Not Found'), 404);
    const { private: isPrivate } = repositorySchema.parse(await repository.json());
    const role = access.permission(login, nameOf(context), isPrivate);
    const permission = { maintain: 'write', triage: 'read' }[role as string] ?? role;
    return context.json({ permission, role_name: role, user: { login, type: 'User' } });
  });

  /** One at a time, or two would both find that there is none yet. */
  let creating: Promise<unknown> = Promise.resolve();
  app.post('/repos/:owner/:repo/pulls', (context) => {
    const result = creating.then(() => createPull(context));
    creating = result.catch(() => undefined);
    return result;
  });

  async function createPull(context: Context): Promise<Response> {
    const name = nameOf(context);
    const request = (await context.req.json()) as { head: string; base: string; body?: string };
    const headBranch = request.head.replace(/^[^:]*:/, '');
    const [head, base] = await Promise.all([
      repositories.tip(name, headBranch),
      repositories.tip(name, request.base),
    ]);
    const refuse = (why: string) => context.json(refusal('Validation Failed', why), 422);
    if (head === undefined) return refuse('head is invalid');
    if (base === undefined) return refuse('base is invalid');
    if ((request.body?.length ?? 0) > MAX_BODY)
      return refuse('body is too long (maximum is 65536 characters)');
    if ((await repositories.commits(name, base, head)).length === 0)
      return refuse(`No commits between ${request.base} and ${headBranch}`);
    const open = await emulator.fetch(`/repos/${name}/pulls?state=open&per_page=100`, {
      headers: tokenHeader(parts.adminOf(ownerOf(context))),
    });
    const pulls = pullSchema.array().parse(await open.json());
    if (pulls.some((pull) => pull.head.ref === headBranch && pull.base.ref === request.base))
      return refuse(`A pull request already exists for ${ownerOf(context)}:${headBranch}.`);
    const result = await forward(context);
    return answer(context, { ...result, json: await withCommits(name, result.json) });
  }

  app.get('/repos/:owner/:repo/pulls', async (context) => {
    const result = await forward(context);
    const json = Array.isArray(result.json)
      ? await Promise.all(result.json.map((pull) => withCommits(nameOf(context), pull)))
      : result.json;
    return answer(context, { ...result, json });
  });

  app.on(['GET', 'PATCH'], '/repos/:owner/:repo/pulls/:number{[0-9]+}', async (context) => {
    const result = await forward(context);
    return answer(context, { ...result, json: await withCommits(nameOf(context), result.json) });
  });

  app.get('/repos/:owner/:repo/pulls/:number{[0-9]+}/files', async (context) => {
    const name = nameOf(context);
    const pull = await emulator.fetch(`/repos/${name}/pulls/${context.req.param('number')}`, {
      headers: tokenHeader(parts.adminOf(ownerOf(context))),
    });
    if (!pull.ok) return context.json(refusal('Not Found'), 404);
    const { head, base } = pullSchema.parse(await withCommits(name, await pull.json()));
    return context.json(await repositories.files(name, base.sha, head.sha));
  });

  for (const path of [
    '/repos/:owner/:repo/issues/:number/comments',
    '/repos/:owner/:repo/issues/comments/:id',
  ])
    app.on(['POST', 'PATCH'], path, async (context) => {
      const { body } = (await context.req.json()) as { body?: string };
      if ((body?.length ?? 0) > MAX_BODY)
        return context.json(
          refusal('Validation Failed', 'body is too long (maximum is 65536 characters)'),
          422,
        );
      return answer(context, await forward(context));
    });

  app.get('/app/hook/deliveries', (context) => {
    if (callerOf(context).kind !== 'app') return context.json(refusal('Bad credentials'), 401);
    const perPage = Number(context.req.query('per_page') ?? 30);
    const before = Number(context.req.query('cursor') ?? Number.POSITIVE_INFINITY);
    const older = deliveries.all.filter(({ id }) => id < before).toReversed();
    const page = older.slice(0, perPage);
    const last = page.at(-1);
    if (last && older.length > page.length)
      context.header(
        'link',
        `<${parts.url()}/app/hook/deliveries?per_page=${perPage}&cursor=${last.id}>; rel="next"`,
      );
    return context.json(
      page.map(({ id, guid, event, action, deliveredAt, statusCode, redelivery }) => ({
        id,
        guid,
        event,
        action,
        redelivery,
        delivered_at: deliveredAt,
        duration: 0.1,
        status: statusCode === null ? 'failed to connect to host' : String(statusCode),
        status_code: statusCode ?? 0,
        installation_id: null,
        repository_id: null,
      })),
    );
  });

  const deployments = createDeploymentRecords({
    callerOf,
    commitOf: async (name, ref) =>
      (await repositories.tip(name, ref)) ??
      (await repositories.commits(name, ref, ref).then(
        () => ref,
        () => undefined,
      )),
  });
  deployments.mount(app);

  app.post('/app/hook/deliveries/:id/attempts', async (context) => {
    if (callerOf(context).kind !== 'app') return context.json(refusal('Bad credentials'), 401);
    const found = await deliveries.redeliver(Number(context.req.param('id')));
    return found ? context.json({}, 202) : context.json(refusal('Not Found'), 404);
  });

  const whoIs = (authorization: string | undefined): string | undefined => {
    const caller = access.caller(tokenIn(authorization));
    if (caller.kind === 'person') return caller.login;
    return caller.kind === 'installation' ? `${parts.slug}[bot]` : undefined;
  };
  reactions.mount(app, whoIs, async (path, authorization) => {
    const found = await emulator.fetch(path, { headers: { authorization: authorization ?? '' } });
    return found.ok;
  });

  checks.mount(
    app,
    (authorization) => access.caller(tokenIn(authorization)),
    (name, sha) =>
      repositories.commits(name, sha, sha).then(
        () => true,
        () => false,
      ),
  );

  app.all(
    '/repos/:owner/:repo/:what{(git|contents|commits|compare|readme|statuses|tarball|zipball).*}',
    (context) =>
      context.json(refusal('This peer does not serve git data over its API; clone the repository.'), 501),
  );

  app.all('*', async (context) => answer(context, await forward(context)));

  return { app, deployments, withCommits };
}
