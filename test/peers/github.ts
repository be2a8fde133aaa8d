import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import type { z } from 'zod';
import { createGitHttp, type GitAccess } from './git-http.ts';
import { createAccess } from './github-access.ts';
import { createApi } from './github-api.ts';
import { createChecks } from './github-checks.ts';
import { createDeliveries } from './github-deliveries.ts';
import { startEmulator } from './github-emulator.ts';
import { createManifestFlow } from './github-manifest.ts';
import type { GitHubPeer, PeerCall, PeerComment, PeerPullRequest } from './github-peer.ts';
import { createReactions } from './github-reactions.ts';
import { createRepositories } from './github-repositories.ts';
import {
  commentSchema,
  hookSchema,
  issueSchema,
  pullSchema,
  refusal,
  repositorySchema,
  reviewSchema,
  type WireHook,
  type WirePull,
} from './github-wire.ts';

export type { GitHubPeer, PeerCall, PeerComment, PeerPullRequest } from './github-peer.ts';

const APP_ID = 424_242;
const SLUG = 'comio';
const HOOKS = '/_peer/hooks';
/** What the App's manifest asks for; the peer itself hears more. */
const SUBSCRIBED = ['issues', 'issue_comment', 'pull_request_review', 'pull_request_review_comment'];

/** GitHub on this machine: npm `emulate` behind an edge with real git, webhooks, permissions and reactions. */
export async function createGitHubPeer({
  people = ['ada', 'grace', 'mallory'],
  org = 'acme',
}: {
  /** The first is an admin of the organizations. Each may write until `setPermission` says otherwise, but `mallory`. */
  people?: readonly string[];
  org?: string;
} = {}): Promise<GitHubPeer> {
  const root = await mkdtemp(join(tmpdir(), 'comio-github-peer-'));
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const secret = randomBytes(20).toString('hex');
  const [admin = 'ada'] = people;

  let handle: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => {
    response.writeHead(503).end();
  };
  const server = createServer((request, response) => handle(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const emulator = await startEmulator({
    app: { id: APP_ID, slug: SLUG, privateKey },
    people,
    organizations: [
      { login: org, installation: 1001 },
      { login: 'elsewhere', installation: undefined },
    ],
    personal: [{ login: admin, installation: 1002 }],
    hookUrl: url + HOOKS,
  });
  const installed = new Map([
    [org, 1001],
    [admin, 1002],
  ]);
  const tokenOf = emulator.tokenOf;
  const access = createAccess({ people, tokenOf });
  for (const person of people) if (person !== 'mallory') access.setPermission(person, 'write');
  const repositories = createRepositories(root);
  const reactions = createReactions();
  const checks = createChecks(APP_ID);
  const deliveries = createDeliveries({ secret, appId: APP_ID });
  const events = new EventEmitter();
  const calls: PeerCall[] = [];
  const failures: {
    route: string;
    status: number;
    headers: Record<string, string>;
    when: string;
    once: boolean;
  }[] = [];
  /** What people did and the emulator has told, by `event.action:id`; taken by whoever did it. */
  const told = new Map<string, WireHook>();

  const adminOf = (account: string) => tokenOf(people.includes(account) ? account : admin);
  const api = createApi({
    slug: SLUG,
    emulator,
    access,
    repositories,
    reactions,
    checks,
    deliveries,
    adminOf,
    url: () => url,
  });

  const privacy = new Map<string, boolean>();
  const git = createGitHttp({
    root,
    authorize(wanted: GitAccess, credentials) {
      const name = `${wanted.owner}/${wanted.name}`;
      const isPrivate = privacy.get(name);
      if (isPrivate === undefined) return credentials ? 'missing' : 'unauthorized';
      if (!credentials) return isPrivate || wanted.write ? 'unauthorized' : 'ok';
      const caller = access.caller(credentials.password);
      if (caller.kind === 'person') {
        const level = access.permission(caller.login, name, isPrivate);
        if (level === 'none') return 'missing';
        return wanted.write && !['admin', 'maintain', 'write'].includes(level) ? 'forbidden' : 'ok';
      }
      if (caller.kind !== 'installation') return 'unauthorized';
      if (!access.reaches(caller, name)) return isPrivate || wanted.write ? 'missing' : 'ok';
      const level = caller.permissions.contents;
      return level === 'write' || (level === 'read' && !wanted.write) ? 'ok' : 'forbidden';
    },
    onPush: (push) => events.emit('push', push),
  });

  async function ask<T>(
    schema: z.ZodType<T>,
    user: string,
    method: string,
    path: string,
    body?: object,
  ): Promise<T> {
    const answer = await emulator.fetch(path, {
      method,
      headers: { authorization: `token ${tokenOf(user)}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = (await answer.text()).replaceAll(emulator.url, url);
    if (!answer.ok) throw new Error(`the emulator says ${answer.status} to ${method} ${path}: ${text}`);
    return schema.parse(text === '' ? undefined : JSON.parse(text));
  }

  const asComment = (name: string, comment: z.output<typeof commentSchema>): PeerComment => ({
    id: comment.id,
    body: comment.body,
    login: comment.user.login,
    byBot: comment.user.type === 'Bot',
    url: comment.html_url,
    reactions: reactions.on(name, `issues/comments/${comment.id}`),
  });

  const asPull = (pull: WirePull): PeerPullRequest => ({
    number: pull.number,
    title: pull.title,
    body: pull.body ?? '',
    state: pull.merged_at ? 'merged' : pull.state,
    head: { branch: pull.head.ref, sha: pull.head.sha },
    base: { branch: pull.base.ref, sha: pull.base.sha },
    author: pull.user.login,
    url: pull.html_url,
  });

  async function pullOf(name: string, number: number): Promise<WirePull | undefined> {
    const found = await emulator.fetch(`/repos/${name}/pulls/${number}`, {
      headers: { authorization: `token ${adminOf(name.split('/')[0] ?? '')}` },
    });
    if (!found.ok) return undefined;
    const json: unknown = JSON.parse((await found.text()).replaceAll(emulator.url, url));
    return pullSchema.parse(await api.withCommits(name, json));
  }

  /** The payload as GitHub sends it: with what the emulator leaves out. */
  async function complete(event: string, hook: WireHook): Promise<WireHook> {
    const name = hook.repository.full_name;
    const pull = hook.pull_request && (await pullOf(name, hook.pull_request.number));
    const full: WireHook = {
      ...hook,
      ...(pull ? { pull_request: pull } : {}),
      installation: { id: installed.get(hook.repository.owner.login), node_id: 'PEER' },
    };
    if (event === 'issue_comment' && hook.issue) {
      const of = await pullOf(name, hook.issue.number);
      if (of) full.issue = { ...hook.issue, pull_request: { url: of.url, html_url: of.html_url } };
    }
    const { comment } = hook;
    if (event === 'pull_request_review_comment' && pull && comment?.path && comment.line)
      full.comment = {
        ...comment,
        diff_hunk: await repositories.hunk(name, pull.base.sha, pull.head.sha, comment.path, comment.line),
      };
    return full;
  }

  function watch(event: string, hook: WireHook): void {
    const { owner, name } = hook.repository;
    const at = { owner: owner.login, repo: name };
    if (event === 'issue_comment' && hook.comment && hook.issue && hook.action !== 'deleted') {
      const comment = asComment(hook.repository.full_name, hook.comment);
      events.emit('comment', {
        ...comment,
        ...at,
        number: hook.issue.number,
        edited: hook.action === 'edited',
      });
    }
    if (event === 'pull_request' && hook.pull_request)
      events.emit('pull', { ...asPull(hook.pull_request), ...at, action: hook.action ?? '' });
  }

  const idOf = (event: string, hook: WireHook): string => {
    const subject = event === 'issues' ? hook.issue?.id : (hook.comment?.id ?? hook.review?.id);
    return `${event}.${hook.action}:${subject}`;
  };

  async function hear(event: string, text: string): Promise<void> {
    const parsed = hookSchema.safeParse(JSON.parse(text.replaceAll(emulator.url, url)));
    if (!parsed.success) return;
    const hook = await complete(event, parsed.data);
    watch(event, hook);
    if (hook.sender.type === 'Bot') {
      if (SUBSCRIBED.includes(event)) await deliveries.send(event, hook);
      return;
    }
    told.set(idOf(event, hook), hook);
    events.emit('told');
  }

  /** Hands on what a person did, once the emulator has told about it. */
  async function deliver(owner: string, event: string, action: string, id: number, times = 1): Promise<void> {
    if (!installed.has(owner)) return;
    const key = `${event}.${action}:${id}`;
    while (!told.has(key)) await once(events, 'told', { signal: AbortSignal.timeout(60_000) });
    const hook = told.get(key);
    told.delete(key);
    if (hook) await deliveries.send(event, hook, { times });
  }

  let closing = false;
  const hearing = new Set<Promise<void>>();
  const edge = new Hono();
  edge.post(HOOKS, async (context) => {
    const text = await context.req.text();
    if (!closing) {
      const work = hear(context.req.header('x-github-event') ?? '', text);
      hearing.add(work);
      await work.finally(() => hearing.delete(work));
    }
    return context.body(null, 204);
  });
  createManifestFlow({ privateKey, secret, appId: APP_ID, slug: SLUG, url }).mount(edge);
  edge.all('*', async (context) => {
    const asked = new URL(context.req.url);
    asked.pathname = asked.pathname.replace(/^\/api\/v3(?=\/)/, '');
    const route = routeOf(context.req.method, asked.pathname);
    const failure = failures.find((each) => each.route === route);
    if (failure?.once) failures.splice(failures.indexOf(failure), 1);
    let answer: Response;
    if (failure?.when === 'before') {
      answer = Response.json(refusal('Server Error'), { status: failure.status, headers: failure.headers });
    } else {
      answer = await api.app.fetch(new Request(asked, context.req.raw));
      if (asked.pathname.endsWith('/repos') && answer.status === 201) {
        const made = repositorySchema.parse(await answer.clone().json());
        privacy.set(made.full_name, made.private);
      }
      if (failure) answer = Response.json(refusal('Server Error'), { status: failure.status });
    }
    calls.push({ method: context.req.method, path: asked.pathname, route, status: answer.status });
    return answer;
  });
  const listener = getRequestListener(edge.fetch);
  handle = (request, response) => {
    git(request, response)
      .then((done) => (done ? undefined : listener(request, response)))
      .catch((error: unknown) => {
        response.writeHead(500).end(String(error));
      });
  };

  const on = <T>(event: string, see: (what: T) => void) => {
    events.on(event, see);
    return () => void events.off(event, see);
  };

  return {
    url,
    org,
    botLogin: `${SLUG}[bot]`,
    privateKey,
    env: {
      GITHUB_APP_ID: String(APP_ID),
      GITHUB_PRIVATE_KEY: privateKey,
      GITHUB_WEBHOOK_SECRET: secret,
      GITHUB_API_URL: url,
      GITHUB_URL: url,
      GITHUB_ORG: org,
    },
    tokenOf,
    deliverTo: deliveries.sendTo,
    deliveries,

    async createRepository({ owner, name, private: isPrivate = false, files }) {
      const path = people.includes(owner) ? '/user/repos' : `/orgs/${owner}/repos`;
      const user = people.includes(owner) ? owner : admin;
      await ask(repositorySchema, user, 'POST', path, { name, private: isPrivate, auto_init: true });
      const full = `${owner}/${name}`;
      privacy.set(full, isPrivate);
      await repositories.create(full);
      const sha = files === undefined ? undefined : await repositories.fill(full, files);
      return { cloneUrl: `${url}/${full}.git`, sha };
    },

    async openIssue({ owner, repo, user, title, body, labels = [], deliver: times }) {
      const issue = await ask(issueSchema, user, 'POST', `/repos/${owner}/${repo}/issues`, {
        title,
        body,
        labels,
      });
      await deliver(owner, 'issues', 'opened', issue.id, times);
      return { id: issue.id, number: issue.number };
    },

    async comment({ owner, repo, number, user, body, deliver: times }) {
      const path = `/repos/${owner}/${repo}/issues/${number}/comments`;
      const { id } = await ask(commentSchema, user, 'POST', path, { body });
      await deliver(owner, 'issue_comment', 'created', id, times);
      return { id };
    },

    async reviewComment({ owner, repo, number, user, body, path, line, deliver: times }) {
      const name = `${owner}/${repo}`;
      const pull = await pullOf(name, number);
      if (!pull) throw new Error(`there is no pull request ${number} in ${name}`);
      if ((await repositories.hunk(name, pull.base.sha, pull.head.sha, path, line)) === undefined)
        throw new Error(`line ${line} of ${path} is not part of the diff of ${name}#${number}`);
      const { id } = await ask(commentSchema, user, 'POST', `/repos/${name}/pulls/${number}/comments`, {
        body,
        path,
        line,
        side: 'RIGHT',
        commit_id: pull.head.sha,
      });
      await deliver(owner, 'pull_request_review_comment', 'created', id, times);
      return { id };
    },

    async review({ owner, repo, number, user, body, deliver: times }) {
      const path = `/repos/${owner}/${repo}/pulls/${number}/reviews`;
      const { id } = await ask(reviewSchema, user, 'POST', path, { body, event: 'COMMENT' });
      await deliver(owner, 'pull_request_review', 'submitted', id, times);
      return { id };
    },

    checkRuns: ({ owner, repo }) => checks.on(`${owner}/${repo}`),

    async pressCheck({ owner, repo, id, user, identifier, deliver: times }) {
      const name = `${owner}/${repo}`;
      const payload = {
        ...checks.pressed(name, id, identifier),
        repository: await ask(repositorySchema, user, 'GET', `/repos/${name}`),
        sender: { login: user, type: 'User' },
        installation: { id: installed.get(owner), node_id: 'PEER' },
      };
      await deliveries.send('check_run', payload, times === undefined ? {} : { times });
    },

    async deleteComment({ owner, repo, id }) {
      const headers = { authorization: `token ${adminOf(owner)}` };
      const path = `/repos/${owner}/${repo}/issues/comments/${id}`;
      const answer = await emulator.fetch(path, { method: 'DELETE', headers });
      if (!answer.ok) throw new Error(`the emulator says ${answer.status} to DELETE ${path}`);
    },

    async comments({ owner, repo, number }) {
      const name = `${owner}/${repo}`;
      const found: PeerComment[] = [];
      for (let page = 1; ; page += 1) {
        const path = `/repos/${name}/issues/${number}/comments?per_page=100&page=${page}`;
        const list = await ask(commentSchema.array(), people.includes(owner) ? owner : admin, 'GET', path);
        found.push(...list.map((comment) => asComment(name, comment)));
        if (list.length < 100) return found;
      }
    },

    issueReactions: ({ owner, repo, number }) => reactions.on(`${owner}/${repo}`, `issues/${number}`),
    reviewCommentReactions: ({ owner, repo, id }) => reactions.on(`${owner}/${repo}`, `pulls/comments/${id}`),

    async pullRequests({ owner, repo }) {
      const name = `${owner}/${repo}`;
      const path = `/repos/${name}/pulls?state=all&per_page=100&direction=asc`;
      const list = await ask(pullSchema.array(), people.includes(owner) ? owner : admin, 'GET', path);
      const full = await Promise.all(list.map((pull) => api.withCommits(name, pull)));
      return pullSchema.array().parse(full).map(asPull);
    },

    async pullRequestFiles({ owner, repo, number }) {
      const pull = await pullOf(`${owner}/${repo}`, number);
      return pull ? repositories.files(`${owner}/${repo}`, pull.base.sha, pull.head.sha) : [];
    },

    pushBranch: ({ owner, repo, branch, files }) => repositories.commit(`${owner}/${repo}`, branch, files),

    async closePullRequest({ owner, repo, number }) {
      const user = people.includes(owner) ? owner : admin;
      await ask(pullSchema, user, 'PATCH', `/repos/${owner}/${repo}/pulls/${number}`, { state: 'closed' });
    },

    async merge({ owner, repo, number }) {
      const name = `${owner}/${repo}`;
      const pull = await pullOf(name, number);
      if (!pull) throw new Error(`there is no pull request ${number} in ${name}`);
      const message = `Merge pull request #${number} from ${owner}/${pull.head.ref}\n\n${pull.title}`;
      const sha = await repositories.merge(name, pull.base.ref, pull.head.sha, message);
      const user = people.includes(owner) ? owner : admin;
      const answer = await emulator.fetch(`/repos/${name}/pulls/${number}/merge`, {
        method: 'PUT',
        headers: { authorization: `token ${tokenOf(user)}`, 'content-type': 'application/json' },
        body: JSON.stringify({ merge_method: 'merge' }),
      });
      if (!answer.ok) throw new Error(`the emulator does not merge: ${await answer.text()}`);
      return sha;
    },

    deployments: ({ owner, repo }) => api.deployments.on(`${owner}/${repo}`),
    branches: ({ owner, repo }) => repositories.branches(`${owner}/${repo}`),
    issuedTokens: access.issuedTokens,
    setPermission: access.setPermission,
    onComment: (see) => on('comment', see),
    onPullRequest: (see) => on('pull', see),
    onPush: (see) => on('push', see),
    calls,
    count: (route) => calls.filter((call) => call.route === route).length,
    failNext: (route, { status, headers = {}, when = 'before' }) =>
      void failures.push({ route, status, headers, when, once: true }),
    breakRoute: (route, status) =>
      void failures.push({ route, status, headers: {}, when: 'before', once: false }),
    heal: () => void failures.splice(0),

    async [Symbol.asyncDispose]() {
      closing = true;
      await Promise.allSettled(hearing);
      await deliveries.settled();
      await emulator[Symbol.asyncDispose]();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** The route a path belongs to, as GitHub's documentation writes it. */
function routeOf(method: string, path: string): string {
  const route = path
    .replace(/^\/repos\/[^/]+\/[^/]+/, '/repos/:owner/:repo')
    .replace(/^\/(orgs|users)\/[^/]+/, '/$1/:name')
    .replace(/\/collaborators\/[^/]+/, '/collaborators/:login')
    .replace(/\/branches\/.+/, '/branches/:branch')
    .replace(/\/\d+(?=\/|$)/g, '/:n');
  return `${method} ${route}`;
}
