import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { STATUS_PAGE_CSP, type StatusView, statusPage } from '#core/status-page.ts';
import { withPage } from '#test/support/chromium.ts';

const now = new Date('2026-03-02T09:15:00Z');
const ago = (minutes: number) => new Date(now.getTime() - minutes * 60_000);

const busy: StatusView = {
  now,
  startedAt: ago(60 * 24 * 3 + 5),
  version: '0.1.0',
  surfaces: [
    { name: 'slack', connected: true, detail: 'Socket Mode, workspace Kitchen' },
    { name: 'discord', connected: false, detail: 'reconnecting' },
    { name: 'github', connected: true, detail: 'App comio, 3 installations' },
  ],
  database: { connected: true, detail: 'PostgreSQL 17' },
  sandboxes: { driver: 'Docker', running: 2, total: 5 },
  runningCount: 2,
  running: [
    {
      project: 'recipes',
      request: 'fix the failing test of the ingredient parser',
      surface: 'slack',
      startedAt: ago(4),
      doing: 'Running tests',
    },
    {
      project: 'shop',
      request: 'add a health check to the cart service',
      surface: 'github',
      startedAt: ago(0),
      doing: 'Reading src/server.ts',
    },
  ],
  counts: { environments: 3, incidents: 2, approvals: 1 },
  environments: [
    {
      project: 'shop',
      name: 'production',
      commit: { sha: '3f2a1bc', message: 'Cache the price list' },
      state: 'live',
    },
    {
      project: 'shop',
      name: 'staging',
      commit: { sha: '9d01e7a', message: 'Round totals' },
      state: 'deploying',
    },
    { project: 'recipes', name: 'production', commit: undefined, state: 'waiting' },
  ],
  incidents: [
    { project: 'shop', title: 'POST /orders answers slowly', severity: 'critical', openedAt: ago(7) },
    { project: 'shop', title: 'More cache misses than usual', severity: 'info', openedAt: ago(70) },
  ],
  approvals: [{ project: 'shop', subject: 'Deploy 9d01e7a to production?', askedAt: ago(3) }],
  recent: [
    {
      project: 'recipes',
      request: 'an API for cooking recipes with tests',
      surface: 'slack',
      endedAt: ago(12),
      outcome: 'done',
      pullRequest: { number: 7, url: 'https://github.com/acme/recipes/pull/7' },
    },
    {
      project: 'shop',
      request: 'make the build faster',
      surface: 'discord',
      endedAt: ago(95),
      outcome: 'stopped',
    },
    {
      project: 'billing',
      request: 'upgrade to the new payment API and migrate every stored card without downtime',
      surface: 'github',
      endedAt: ago(60 * 26),
      outcome: 'failed',
    },
    {
      project: 'shop',
      request: 'rename the cart',
      surface: 'slack',
      endedAt: ago(60 * 50),
      outcome: 'undone',
    },
  ],
};
const quiet: StatusView = {
  ...busy,
  startedAt: ago(0),
  surfaces: [],
  database: { connected: true, detail: 'embedded' },
  sandboxes: { driver: 'Docker', running: 0, total: 0 },
  runningCount: 0,
  running: [],
  counts: { environments: 0, incidents: 0, approvals: 0 },
  environments: [],
  incidents: [],
  approvals: [],
  recent: [],
};
const attack = '"><script>document.title="owned"</script><img src=x onerror=alert(1)>&amp;\u202e';
const hostile: StatusView = {
  ...busy,
  version: attack,
  surfaces: [{ name: attack, connected: false, detail: attack }],
  database: { connected: false, detail: attack },
  sandboxes: { driver: attack, running: 1, total: 1 },
  running: [
    { project: attack, request: attack.repeat(20), surface: attack, startedAt: ago(1), doing: attack },
  ],
  environments: [
    { project: attack, name: attack, commit: { sha: attack, message: attack.repeat(20) }, state: 'live' },
  ],
  incidents: [{ project: attack, title: attack.repeat(20), severity: 'warning', openedAt: ago(1) }],
  approvals: [{ project: attack, subject: attack, askedAt: ago(1) }],
  recent: [
    {
      project: 'x'.repeat(300),
      request: 'x'.repeat(3000),
      surface: attack,
      endedAt: ago(1),
      outcome: 'failed',
      pullRequest: { number: 1, url: 'javascript:alert(1)' },
    },
  ],
};
const views = { busy, quiet, hostile };

/** The page as a browser gets it from the server: over HTTP, with its policy. */
async function open<T>(
  view: StatusView,
  look: { colorScheme?: 'light' | 'dark' },
  use: (page: Page, problems: string[]) => Promise<T>,
): Promise<T> {
  const server = createServer((_, response) => {
    response.setHeader('content-security-policy', STATUS_PAGE_CSP);
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(statusPage(view));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const options = {
      colorScheme: look.colorScheme ?? 'light',
      viewport: { width: 1100, height: 900 },
    };
    return await withPage(options, async (page) => {
      const problems: string[] = [];
      page.on('console', (message) => problems.push(`${message.type()}: ${message.text()}`));
      page.on('pageerror', (error) => problems.push(String(error)));
      page.on('requestfailed', (request) => problems.push(`failed: ${request.url()}`));
      await page.goto(`http://127.0.0.1:${port}/`);
      return await use(page, problems);
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Runs in the browser's debugger, which the page's policy does not bind. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const results = await page.evaluate<AxeResults>(
    'axe.run(document, { resultTypes: ["violations", "incomplete"] })',
  );
  return [...results.violations, ...results.incomplete].map(
    (rule) => `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => node.html).join(' ')}`,
  );
}

test.each(Object.entries(views))(
  '%s: accessible, without errors, nothing to scroll sideways; light and dark, wide and at 320 px',
  async (_, view) => {
    await open(view, {}, async (page, problems) => {
      for (const colorScheme of ['light', 'dark'] as const) {
        for (const width of [320, 1100]) {
          await page.emulateMedia({ colorScheme });
          await page.setViewportSize({ width, height: 900 });
          expect(await violations(page), `${colorScheme}, ${width} px`).toEqual([]);
          const [needed, there] = await page.evaluate<[number, number]>(
            '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
          );
          expect(needed).toBeLessThanOrEqual(there);
        }
      }
      expect(problems).toEqual([]);
    });
  },
);

test('light and dark differ, and the style sheet applies under its policy', async () => {
  const paper = (colorScheme: 'light' | 'dark') =>
    open(busy, { colorScheme }, (page) =>
      page.evaluate<string>('getComputedStyle(document.body).backgroundColor'),
    );
  expect(await paper('light')).toBe('rgb(251, 250, 247)');
  expect(await paper('dark')).toBe('rgb(21, 23, 26)');
});

test('it shows what is going on', async () => {
  await open(busy, {}, async (page) => {
    expect(await page.title()).toBe('Discord is away · Comio');
    expect(await page.getByRole('heading', { level: 1 }).innerText()).toBe('Discord is away');
    const chats = page.getByRole('region', { name: 'Chats' });
    expect(await chats.getByRole('listitem').allInnerTexts()).toEqual([
      expect.stringMatching(/Slack[\s\S]*workspace Kitchen[\s\S]*Connected/),
      expect.stringMatching(/Discord[\s\S]*reconnecting[\s\S]*Away/),
      expect.stringMatching(/GitHub[\s\S]*3 installations[\s\S]*Connected/),
    ]);
    const working = page.getByRole('table', { name: 'Requests being worked on' }).getByRole('row');
    expect(await working.nth(1).innerText()).toMatch(
      /ingredient parser\s+recipes, Slack\s+Running tests\s+4 min/,
    );
    const ended = page.getByRole('table', { name: 'Requests that ended last' }).getByRole('row');
    expect(await ended.nth(1).innerText()).toMatch(/recipes, Slack\s+Done\s*Pull request 7\s+12 min ago/);
    expect(await ended.nth(3).innerText()).toMatch(/Failed\s+1 day ago/);
    const pull = page.getByRole('link', { name: 'Pull request 7' });
    expect(await pull.getAttribute('href')).toBe('https://github.com/acme/recipes/pull/7');
    expect(await page.getByRole('main').innerText()).toMatch(/2\s+running of 5, Docker/);
    expect(await page.getByRole('contentinfo').innerText()).toContain('Comio 0.1.0, up 3 days');
  });
});

test('it shows what is deployed, what is wrong and what waits', async () => {
  await open({ ...busy, surfaces: busy.surfaces.slice(0, 1) }, {}, async (page) => {
    expect(await page.title()).toBe('2 open incidents · Comio');
    const rows = (name: string) => page.getByRole('region', { name }).getByRole('listitem').allInnerTexts();
    expect(await rows('Open incidents')).toEqual([
      expect.stringMatching(/shop[\s\S]*POST \/orders answers slowly, for 7 min[\s\S]*Critical/),
      expect.stringMatching(/More cache misses than usual, for 1 h 10 min[\s\S]*Notice/),
    ]);
    expect(await rows('Waiting for people')).toEqual([
      expect.stringMatching(/shop[\s\S]*Deploy 9d01e7a to production\?[\s\S]*3 min ago/),
    ]);
    expect(await rows('Environments')).toEqual([
      expect.stringMatching(/shop[\s\S]*production, 3f2a1bc Cache the price list[\s\S]*Live/),
      expect.stringMatching(/shop[\s\S]*staging, 9d01e7a Round totals[\s\S]*Deploying/),
      expect.stringMatching(/recipes[\s\S]*production[\s\S]*Waits for approval/),
    ]);
  });
});

test('where strangers may look it counts and lists nothing', async () => {
  const strangers = { ...busy, environments: [], incidents: [], approvals: [] };
  await open(strangers, {}, async (page) => {
    expect(await page.getByRole('main').innerText()).toMatch(
      /Incidents\s+2\s+open\s+Approvals\s+1\s+waiting/,
    );
    expect(await page.getByRole('region', { name: 'Open incidents' }).count()).toBe(0);
  });
});

test('with nothing set up it says what to do', async () => {
  await open(quiet, {}, async (page) => {
    expect(await page.getByRole('heading', { level: 1 }).innerText()).toBe('Not connected yet');
    const text = await page.getByRole('main').innerText();
    expect(text).toContain('No chat is set up.');
    expect(text).toContain('Nothing is running.');
    expect(text).toContain('Nothing has been finished yet.');
  });
});

test('what people wrote stays text', async () => {
  await open(hostile, {}, async (page) => {
    expect(await page.title()).toBe('The database is away · Comio');
    expect(await page.locator('script, img, [onerror]').count()).toBe(0);
    expect(await page.getByRole('link').allInnerTexts()).toEqual(['Refresh']);
    expect(await page.getByRole('main').innerText()).toContain('<img src=x onerror=alert(1)>');
  });
});

test('the keyboard reaches the links, and one sees where it is', async () => {
  await open(busy, {}, async (page) => {
    for (const name of ['Refresh', 'Pull request 7']) {
      await page.keyboard.press('Tab');
      const focused =
        '[document.activeElement.textContent, getComputedStyle(document.activeElement).outlineStyle]';
      expect(await page.evaluate(focused)).toEqual([name, 'solid']);
    }
  });
});

test('the policy is strict', () => {
  expect(STATUS_PAGE_CSP).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/]{43}='; /);
  expect(STATUS_PAGE_CSP).not.toContain('unsafe');
});
