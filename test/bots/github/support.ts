import { once } from 'node:events';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { createGitHub, env } from '#bots/github/github.ts';
import { loadConfig } from '#core/config.ts';
import type { Images } from '#core/conversations/images.ts';
import type { Receive, Surface } from '#core/conversations/surface.ts';
import { createLogger } from '#observability/log.ts';
import { createGitHubPeer, type GitHubPeer } from '../../peers/github.ts';

export interface LocalGitHub extends AsyncDisposable {
  peer: GitHubPeer;
  surface: Surface;
  app: Hono;
  /** Of our own server. */
  url: string;
}

export const REPO = { owner: 'acme', repo: 'app' } as const;

/** The surface as the service runs it, hearing from and speaking to a GitHub on this machine. */
export async function startLocalGitHub(
  receive: Receive,
  pictures?: Pick<Images, 'png'>,
): Promise<LocalGitHub> {
  await using starting = new AsyncDisposableStack();
  const peer = starting.use(await createGitHubPeer());
  await peer.createRepository({
    owner: REPO.owner,
    name: REPO.repo,
    files: { 'a.txt': 'one\ntwo\nthree\n' },
  });
  let publicUrl: string | undefined;
  const images = {
    url: (id: string) => publicUrl && `${publicUrl}/images/${encodeURIComponent(id)}.png`,
  };
  const settings = loadConfig(env, { ...peer.env, GITHUB_UPDATE_MS: '0' });
  const surface = starting.use(createGitHub({ settings, receive, images, log: createLogger('silent') }));
  const app = new Hono();
  surface.mount(app);
  app.get('/images/:file', async (context) => {
    const png = await pictures?.png(context.req.param('file').replace(/\.png$/, ''));
    return png ? context.body(png, 200, { 'content-type': 'image/png' }) : context.notFound();
  });
  const listening = Promise.withResolvers<number>();
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) =>
    listening.resolve(port),
  );
  starting.defer(async () => {
    server.close();
    await once(server, 'close');
  });
  const url = `http://127.0.0.1:${await listening.promise}`;
  if (pictures) publicUrl = url;
  await surface.start();
  peer.deliverTo(`${url}/github/webhooks`);
  const stack = starting.move();
  return { peer, surface, app, url, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** The pictures in a comment, fetched as GitHub's proxy would. */
export async function picturesIn(body: string): Promise<{ alt: string; png: Uint8Array }[]> {
  const found = body.matchAll(/!\[(.*)\]\(<(http:\/\/127\.0\.0\.1:\d+\/images\/[^>]*)>\)/g);
  return Promise.all(
    [...found].map(async ([, alt = '', url = '']) => {
      const answer = await fetch(url);
      const png = new Uint8Array(await answer.arrayBuffer());
      return { alt, png: answer.ok ? png : new Uint8Array() };
    }),
  );
}

/**
 * Whom GitHub would notify because of this text, and what of it would act as HTML: a reading of our own, so that the
 * renderer is not its own judge.
 */
export function actsOn(body: string): string[] {
  const outsideFences: string[] = [];
  let fence: string | undefined;
  for (const line of body.replace(/^<!-- comio:[^\s]+ -->\n/, '').split('\n')) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence === undefined && mark !== undefined) fence = mark;
    else if (fence !== undefined) {
      if (mark?.startsWith(fence) && line.trim() === mark) fence = undefined;
    } else outsideFences.push(line);
  }
  const text = outsideFences.join('\n').replace(/(?<!`)(`+)(?!`)[^`\n|]*?(?<!`)\1(?!`)/g, '');
  const ours =
    /<\/?(?:details|summary|sub)>|!\[(?=[^\n]*\]\(<http:\/\/127\.0\.0\.1:\d+\/images\/[^>]*>\))|\]\(<https?:[^>]*>\)/g;
  const left = text.replace(ours, '');
  return [
    ...Array.from(left.matchAll(/(?<![\w`\u200b])@[a-z\d][\w-]*(?:\/[\w-]+)?/gi), ([mention]) => mention),
    ...Array.from(left.matchAll(/(?<!\\)<[a-z/!?][^\n]{0,20}/gi), ([tag]) => tag),
    ...Array.from(left.matchAll(/!\[/g), ([image]) => image),
    ...(fence === undefined ? [] : ['an open fence']),
  ];
}
