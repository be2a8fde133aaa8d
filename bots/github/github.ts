import { pino } from 'pino';
import { Probot } from 'probot';
import { createGitHubApp, type GitHubClient, orUndefined } from '#adapters/forge/github-app.ts';
import type { Card } from '#core/conversations/card.ts';
import type { Images } from '#core/conversations/images.ts';
import type { ConversationAddress, Reaction, Receive, Role, Surface } from '#core/conversations/surface.ts';
import { SurfaceError } from '#core/conversations/surface.ts';
import type { Logger } from '#observability/log.ts';
import { messageOf, messageRef, placeOf } from './address.ts';
import { answersOf, closeCheck, findCheck, openCheck } from './check-runs.ts';
import { sweepDeliveries } from './deliveries.ts';
import { toSurfaceError } from './errors.ts';
import { EVENTS, parse } from './parse.ts';
import { hasKey, renderCard } from './render.ts';
import type { GitHubSettings } from './settings.ts';
import { mountWebhooks } from './webhooks.ts';

export { env } from './settings.ts';

/** The eight GitHub has: https://docs.github.com/en/rest/reactions/reactions. */
const contents = { seen: 'eyes', done: 'rocket', failed: 'confused' } as const satisfies Record<
  Reaction,
  string
>;

const roles: Readonly<Record<string, Role>> = {
  admin: 'admin',
  maintain: 'operator',
  write: 'operator',
  triage: 'viewer',
  read: 'viewer',
};

/** When deliveries nobody took are asked for again: soon after the start, then regularly. */
const FIRST_SWEEP_MS = 5000;
const SWEEP_MS = 300_000;
/** Comments in one page, GitHub's maximum. */
const PAGE = 100;

/** Comio on GitHub: webhooks in, REST out, as a GitHub App. */
export function createGitHub(deps: {
  settings: GitHubSettings;
  receive: Receive;
  images: Pick<Images, 'url'>;
  log: Logger;
}): Surface {
  const { settings, receive } = deps;
  const log = deps.log.child({ surface: 'github' });
  const { GITHUB_WEBHOOK_SECRET: secret, GITHUB_BOT_NAME: name } = settings;
  if (secret === undefined)
    throw new SurfaceError('invalid', 'Set GITHUB_WEBHOOK_SECRET to hear from GitHub.');
  const github = createGitHubApp(settings, log);
  const probot = new Probot({
    appId: settings.GITHUB_APP_ID,
    privateKey: settings.GITHUB_PRIVATE_KEY,
    secret,
    baseUrl: settings.GITHUB_API_URL,
    // What fails in it is thrown back to us, and logged once.
    log: pino({ level: 'silent' }),
  });
  probot.on([...EVENTS], async (event) => {
    const inbound = parse(event, { name, now: new Date() });
    if (inbound) await receive(inbound);
  });

  let login: string | undefined;
  let sweeping: NodeJS.Timeout | undefined;
  let swept: Promise<void> = Promise.resolve();
  let disposed = false;

  const sweepLater = (ms: number): void => {
    if (disposed) return;
    sweeping = setTimeout(() => {
      swept = sweep().finally(() => sweepLater(SWEEP_MS));
    }, ms);
    sweeping.unref();
  };

  async function sweep(): Promise<void> {
    try {
      const asked = await sweepDeliveries(github.client);
      if (asked > 0) log.info({ deliveries: asked }, 'asked GitHub again for deliveries nobody took');
    } catch (error) {
      log.warn({ err: toSurfaceError(error, 'looking for lost deliveries') }, 'deliveries were not swept');
    }
  }

  async function call<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw toSurfaceError(error, doing);
    }
  }

  /** A client for the conversation's repository, and where it is there. */
  async function at(conversation: ConversationAddress) {
    const { owner, repo, number } = placeOf(conversation);
    const client = await github.forRepository({ owner, name: repo });
    if (!client)
      throw new SurfaceError('gone', `The GitHub App is not installed on ${owner}/${repo} any more.`);
    return { client, owner, repo, number };
  }

  const rendered = (card: Card, key: string): string =>
    renderCard(card, key, { name, imageUrl: deps.images.url });
  /** The same in a check run, which has buttons. */
  const summary = (card: Card, key: string): string => rendered({ ...card, actions: [] }, key);

  async function botLogin(): Promise<string> {
    if (login !== undefined) return login;
    const { data } = await github.client.rest.apps.getAuthenticated();
    if (!data) throw new SurfaceError('forbidden', 'GitHub does not know this App.');
    login = `${data.slug}[bot]`;
    return login;
  }

  return {
    name: 'github',
    pace: { updateMs: settings.GITHUB_UPDATE_MS },

    status: () =>
      login === undefined
        ? { connected: false, detail: 'not connected yet' }
        : { connected: true, detail: `${login} on ${new URL(settings.GITHUB_API_URL).host}` },

    mount: (app) => mountWebhooks(app, probot, log),

    start: () =>
      call('connecting', async () => {
        await probot.ready();
        await botLogin();
        sweepLater(FIRST_SWEEP_MS);
      }),

    post: (conversation, card, key) =>
      call('commenting', async () => {
        const place = await at(conversation);
        const { client, owner, repo, number } = place;
        // First: once the comment is there, the check run is, and can be found with it after a crash.
        const check = await openCheck(place, card, key, summary(card, key), log);
        const body = rendered(card, key);
        const { data } = await client.rest.issues.createComment({ owner, repo, issue_number: number, body });
        return messageRef(conversation, { kind: 'issue_comment', id: data.id, check }, data.html_url);
      }),

    find: (conversation, key) =>
      call('looking for a comment', async () => {
        const place = await at(conversation);
        const { client, owner, repo, number } = place;
        const self = await botLogin();
        for await (const comment of newestComments(client, { owner, repo, issue_number: number })) {
          // Anybody can write down a key; only ours was written by us.
          if (comment.user?.login !== self || !hasKey(comment.body ?? '', key)) continue;
          const check = await findCheck(place, key, log);
          return messageRef(conversation, { kind: 'issue_comment', id: comment.id, check }, comment.html_url);
        }
        return undefined;
      }),

    update: (ref, card, key) =>
      call('editing', async () => {
        const place = await at(ref.conversation);
        const { client, owner, repo } = place;
        const message = messageOf(ref);
        if (message.kind !== 'issue_comment')
          throw new SurfaceError('invalid', 'Only comments can be edited.');
        const body = rendered(card, key);
        await client.rest.issues.updateComment({ owner, repo, comment_id: message.id, body });
        if (message.check !== undefined && answersOf(card).length === 0)
          await closeCheck(place, message.check, card, summary(card, key), log);
      }),

    react: (ref, reaction) =>
      call('reacting', async () => {
        const { client, owner, repo } = await at(ref.conversation);
        const message = messageOf(ref);
        const content = contents[reaction];
        const { reactions } = client.rest;
        if (message.kind === 'issue')
          await reactions.createForIssue({ owner, repo, issue_number: message.number, content });
        else if (message.kind === 'issue_comment')
          await reactions.createForIssueComment({ owner, repo, comment_id: message.id, content });
        else
          await reactions.createForPullRequestReviewComment({ owner, repo, comment_id: message.id, content });
      }),

    role: (person, conversation) =>
      call('asking for a permission', async () => {
        const { client, owner, repo } = await at(conversation);
        const found = await orUndefined(
          client.rest.repos.getCollaboratorPermissionLevel({ owner, repo, username: person.id }),
        );
        const permission = found?.data.permission ?? 'none';
        // A custom role's name says nothing; the permission it is based on does.
        const role = roles[found?.data.role_name ?? ''] ?? roles[permission] ?? 'none';
        return { role, reason: `${person.name} has ${permission} permission in ${owner}/${repo}.` };
      }),

    async [Symbol.asyncDispose]() {
      disposed = true;
      clearTimeout(sweeping);
      await swept;
    },
  };
}

/** The last two pages of an issue's comments, newest first. GitHub lists them from the oldest. */
async function* newestComments(
  client: GitHubClient,
  issue: { owner: string; repo: string; issue_number: number },
) {
  const page = (number: number) =>
    client.rest.issues.listComments({ ...issue, per_page: PAGE, page: number });
  const first = await page(1);
  const last = Number(/[?&]page=(\d+)[^>]*>; rel="last"/.exec(first.headers.link ?? '')?.[1] ?? 1);
  for (const number of [last, last - 1]) {
    if (number < 1) continue;
    const { data } = number === 1 ? first : await page(number);
    yield* data.toReversed();
  }
}
