import { randomBytes } from 'node:crypto';
import type { Context, Hono } from 'hono';
import { deleteCookie, setCookie } from 'hono/cookie';
import { html } from 'hono/html';
import { z } from 'zod';
import { manifest } from './manifest.ts';

export interface GitHubSetupOptions {
  /** Where the page is; GitHub sends people back to PATH/callback. */
  path: string;
  /** Where GitHub reaches us; undefined: wherever the page was opened, which GitHub may not reach. */
  publicUrl: string | undefined;
  githubUrl: string;
  apiUrl: string;
}

/** What GitHub answers to a manifest's code, as far as we show it. */
const appSchema = z.object({
  id: z.number(),
  slug: z.string(),
  html_url: z.url(),
  pem: z.string(),
  webhook_secret: z.string().nullable(),
});

/** Seconds: long enough to fill in GitHub's form. */
const PATIENCE = 3600;
const COOKIE = 'comio-setup';
const ANSWER_MS = 15_000;

/**
 * Creates the GitHub App with one click: our page posts a manifest to GitHub's, the person agrees there, and comes back
 * with a code that is traded for the App's key. The values are shown once, to that person, and kept nowhere.
 */
export function mountGitHubSetup(app: Hono, options: GitHubSetupOptions): void {
  const { path, githubUrl, apiUrl } = options;
  app.get(path, (context) => {
    const publicUrl = options.publicUrl ?? new URL(context.req.url).origin;
    // Kept by this browser: nobody else's finishes what it began, and it finishes nothing that somebody else began.
    const state = randomBytes(24).toString('base64url');
    const secure = publicUrl.startsWith('https:');
    setCookie(context, COOKIE, state, { path, httpOnly: true, sameSite: 'Lax', secure, maxAge: PATIENCE });
    const org = context.req.query('org') ?? '';
    const owner = /^[\w-]+$/.test(org) ? `organizations/${org}/` : '';
    const action = `${githubUrl}/${owner}settings/apps/new?state=${state}`;
    const json = JSON.stringify(
      manifest({ publicUrl, redirectUrl: new URL(`${path}/callback`, publicUrl).href }),
    );
    return page(
      context,
      githubUrl,
      html`<h1>Create the GitHub App</h1>
        <p>GitHub will show what the App may do, and asks you to name it. It is private: only the account that owns it
          can install it. Webhooks will go to <code>${publicUrl}</code>.</p>
        ${
          isLoopback(publicUrl)
            ? html`<p role="alert"><strong>GitHub cannot reach ${publicUrl}.</strong> Set PUBLIC_URL to where the
                outside world reaches this service, start it again and reload this page.</p>`
            : ''
        }
        <form method="get" action="${path}">
          <label>Organization that owns it (empty: your own account)
            <input name="org" value="${org}" autocomplete="off" /></label>
          <button>Use this account</button>
        </form>
        <form method="post" action="${action}">
          <input type="hidden" name="manifest" value="${json}" />
          <button>Create the App on GitHub${owner === '' ? '' : ` for ${org}`}</button>
        </form>`,
    );
  });

  app.get(`${path}/callback`, async (context) => {
    const { code, state } = context.req.query();
    const began = deleteCookie(context, COOKIE, { path });
    if (code === undefined || !/^[\w-]+$/.test(code) || began === undefined || state !== began)
      return failed(context, 400, 'This link was used before or did not start in this browser.');
    const answer = await fetch(`${apiUrl}/app-manifests/${code}/conversions`, {
      method: 'POST',
      headers: { accept: 'application/vnd.github+json' },
      signal: AbortSignal.timeout(ANSWER_MS),
    }).catch(() => undefined);
    if (!answer?.ok)
      return failed(context, 502, `GitHub did not hand over the App (${answer?.status ?? 'no answer'}).`);
    const made = appSchema.safeParse(await answer.json());
    if (!made.success) return failed(context, 502, 'GitHub answered with something else than an App.');
    const { id, slug, html_url: url, pem, webhook_secret: secret } = made.data;
    const lines = [
      `GITHUB_APP_ID=${id}`,
      `GITHUB_WEBHOOK_SECRET=${secret ?? ''}`,
      `GITHUB_PRIVATE_KEY="${pem.trim().replaceAll('\n', '\\n')}"`,
      ...(slug === 'comio' ? [] : [`GITHUB_BOT_NAME=${slug}`]),
    ];
    return page(
      context,
      githubUrl,
      html`<h1>The App is there</h1>
        <ol>
          <li>Put these into the service's environment. They are shown once.
            <pre tabindex="0">${lines.join('\n')}</pre></li>
          <li><a href="${url}/installations/new">Install the App</a> on the account whose repositories it should work in.
            Set <code>GITHUB_ORG</code> to the organization in which new projects get theirs.</li>
          <li>Start the service again.</li>
        </ol>`,
    );
  });

  const failed = (context: Context, status: 400 | 502, why: string) =>
    page(
      context,
      githubUrl,
      html`<h1>That did not work</h1><p>${why} <a href="${path}">Start again</a>.</p>`,
      status,
    );
}

const isLoopback = (url: string): boolean => /^(localhost|127\.|\[::1\]|0\.0\.0\.0)/.test(new URL(url).host);

/** Values on it are secrets: no cache, no referrer, no script. */
function page(
  context: Context,
  githubUrl: string,
  body: ReturnType<typeof html>,
  status: 200 | 400 | 502 = 200,
): Response | Promise<Response> {
  context.header('cache-control', 'no-store');
  context.header('referrer-policy', 'no-referrer');
  context.header('x-content-type-options', 'nosniff');
  // A form's redirects count as its targets.
  context.header(
    'content-security-policy',
    `default-src 'none'; style-src 'unsafe-inline'; form-action 'self' ${githubUrl}; frame-ancestors 'none'; base-uri 'none'`,
  );
  return context.html(
    html`<!doctype html>
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width" />
          <title>Comio on GitHub</title>
          <style>
            :root { color-scheme: light dark; }
            body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }
            pre { overflow-x: auto; padding: 1rem; border: 1px solid; border-radius: 0.5rem; }
            form { margin: 1.5rem 0; }
            button, input { font: inherit; padding: 0.4rem 0.8rem; }
            label { display: block; margin-bottom: 0.5rem; }
          </style>
        </head>
        <body><main>${body}</main></body>
      </html>`,
    status,
  );
}
