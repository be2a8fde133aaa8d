import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { manifest } from '#bots/github/manifest.ts';
import { mountGitHubSetup } from '#bots/github/setup.ts';
import { createGitHubPeer, type GitHubPeer } from '../../peers/github.ts';

const decoded = (text: string) =>
  text.replaceAll('&quot;', '"').replaceAll('&amp;', '&').replaceAll('&#39;', "'");

describe('creating the GitHub App', () => {
  let peer: GitHubPeer;
  let app: Hono;
  beforeAll(async () => {
    peer = await createGitHubPeer();
    app = new Hono();
    mountGitHubSetup(app, {
      path: '/setup/github',
      publicUrl: 'https://comio.example.com',
      githubUrl: peer.url,
      apiUrl: peer.url,
    });
  });
  afterAll(() => peer?.[Symbol.asyncDispose]());

  /** As a browser does it: opens our page, posts its form to GitHub, and is sent back. */
  const agree = async (query = ''): Promise<{ action: string; back: URL; cookie: string }> => {
    const opened = await app.request(`/setup/github${query}`);
    const [cookie = '', ...attributes] = (opened.headers.get('set-cookie') ?? '').split('; ');
    expect(attributes).toEqual(expect.arrayContaining(['HttpOnly', 'Secure', 'SameSite=Lax']));
    const page = await opened.text();
    const action = decoded(/<form method="post" action="([^"]+)"/.exec(page)?.[1] ?? '');
    const json = decoded(/name="manifest" value="([^"]+)"/.exec(page)?.[1] ?? '');
    const answer = await fetch(action, {
      method: 'POST',
      body: new URLSearchParams({ manifest: json }),
      redirect: 'manual',
    });
    expect(answer.status, await answer.text()).toBe(302);
    return { action, back: new URL(answer.headers.get('location') ?? ''), cookie };
  };
  const follow = (back: URL, cookie = '') =>
    app.request(back.pathname + back.search, { headers: { cookie } });

  it('leads from one click to the values the service needs', async () => {
    const { action, back, cookie } = await agree();
    expect(action).toContain('/settings/apps/new?state=');
    expect(back.origin + back.pathname).toBe('https://comio.example.com/setup/github/callback');
    const done = await follow(back, cookie);
    expect(done.headers.get('set-cookie')).toMatch(/Max-Age=0/);
    expect(done.status).toBe(200);
    expect(done.headers.get('cache-control')).toBe('no-store');
    const page = decoded(await done.text());
    expect(page).toContain(`GITHUB_APP_ID=${peer.env.GITHUB_APP_ID}`);
    expect(page).toContain(`GITHUB_WEBHOOK_SECRET=${peer.env.GITHUB_WEBHOOK_SECRET}`);
    expect(page).toContain(`GITHUB_PRIVATE_KEY="${peer.privateKey.trim().replaceAll('\n', '\\n')}"`);
    expect(page).toContain('/installations/new');
  });

  it('shows the values once, and only to whoever began here', async () => {
    const { back, cookie } = await agree();
    const forged = new URL(back);
    forged.searchParams.set('state', 'guessed');
    expect((await follow(forged, cookie)).status).toBe(400);
    // The link alone is worth nothing: nobody is shown the key of what somebody else made, nor theirs to somebody else.
    expect((await follow(back)).status).toBe(400);
    expect((await follow(back, (await agree()).cookie)).status).toBe(400);
    expect((await follow(back, cookie)).status).toBe(200);
    expect((await follow(back, cookie)).status).toBe(502);
    const other = await agree();
    other.back.searchParams.set('code', '../../app');
    expect((await follow(other.back, other.cookie)).status).toBe(400);
    const used = await agree();
    used.back.searchParams.set('code', 'unknown');
    expect((await follow(used.back, used.cookie)).status).toBe(502);
  });

  it('creates it for an organization, and nothing else for a strange one', async () => {
    expect((await agree('?org=acme')).action).toContain('/organizations/acme/settings/apps/new?');
    const page = await (await app.request('/setup/github?org=%22%3E%3Cscript%3Ealert(1)')).text();
    expect(page).not.toContain('<script>');
    expect(page).toContain(`action="${peer.url}/settings/apps/new?`);
  });

  it('says so when GitHub could not reach us', async () => {
    const local = new Hono();
    mountGitHubSetup(local, { path: '/s', publicUrl: undefined, githubUrl: peer.url, apiUrl: peer.url });
    expect(await (await local.request('http://127.0.0.1:3000/s')).text()).toContain('PUBLIC_URL');
    expect(await (await app.request('/setup/github')).text()).not.toContain('cannot reach');
  });

  it('asks for a private App with the events it hears and no more than it needs', () => {
    expect(manifest({ publicUrl: 'https://a.example', redirectUrl: 'https://a.example/back' })).toMatchObject(
      {
        public: false,
        hook_attributes: { url: 'https://a.example/github/webhooks' },
        default_events: [
          'issues',
          'issue_comment',
          'pull_request_review_comment',
          'pull_request_review',
          'check_run',
        ],
        default_permissions: {
          checks: 'write',
          contents: 'write',
          issues: 'write',
          pull_requests: 'write',
          metadata: 'read',
        },
      },
    );
  });
});
