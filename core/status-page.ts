import { createHash } from 'node:crypto';
import { html, raw } from 'hono/html';
import { STATUS_PAGE_STYLE } from './status-page-style.ts';

/** One request, as people know it. */
export interface StatusRun {
  project?: string | undefined;
  /** What was asked, in the person's words. */
  request: string;
  /** `slack`, `discord` or `github`. */
  surface: string;
}

/** All that the status page shows. It is for whoever can open the page, so nothing secret belongs in here. */
export interface StatusView {
  now: Date;
  startedAt: Date;
  version: string;
  surfaces: { name: string; connected: boolean; detail: string }[];
  database: { connected: boolean; detail: string };
  sandboxes: { driver: string; running: number; total: number };
  /** How many; the longest at work are in `running`. */
  runningCount: number;
  running: (StatusRun & { startedAt: Date; doing: string })[];
  /** How many of each there are; the lists may be shorter, and are empty where strangers may look. */
  counts: { environments: number; incidents: number; approvals: number };
  environments: {
    project: string;
    /** `staging` or `production`. */
    name: string;
    /** What is live: the start of its hash and its message; undefined before anything was. */
    commit: { sha: string; message: string } | undefined;
    state: 'live' | 'deploying' | 'waiting' | 'empty';
  }[];
  incidents: { project: string; title: string; severity: 'info' | 'warning' | 'critical'; openedAt: Date }[];
  approvals: { project: string | undefined; subject: string; askedAt: Date }[];
  /** Newest first. */
  recent: (StatusRun & {
    endedAt: Date;
    outcome: 'done' | 'failed' | 'stopped' | 'undone';
    pullRequest?: { number: number; url: string } | undefined;
  })[];
}

const style = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** The page loads nothing, runs nothing and can be framed by nobody; its one style sheet is named by its hash. */
export const STATUS_PAGE_CSP = [
  "default-src 'none'",
  `style-src ${style(STATUS_PAGE_STYLE)}`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const names: Record<string, string> = { slack: 'Slack', discord: 'Discord', github: 'GitHub' };
const nameOf = (surface: string): string => names[surface] ?? surface;

const outcomes: Record<StatusView['recent'][number]['outcome'], string> = {
  done: 'Done',
  failed: 'Failed',
  stopped: 'Stopped',
  undone: 'Undone',
};

// A ring in the accent colour, drawn here because the page may load nothing.
const ICON =
  'data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 16 16%22%3E%3Ccircle cx=%228%22 cy=%228%22 r=%225%22 fill=%22none%22 stroke=%22%230d7a6f%22 stroke-width=%223.5%22/%3E%3C/svg%3E';

/** The one page Comio has: whether it is alive, and what it does. Complete without a script. */
export function statusPage(view: StatusView): string {
  const { title, lead } = headline(view);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title} · Comio</title>
<link rel="icon" href="${raw(ICON)}">
<style>${raw(STATUS_PAGE_STYLE)}</style>
</head>
<body>
<header>
<p class="brand"><span class="mark" aria-hidden="true"></span>Comio</p>
<p class="asof">As of ${time(view.now, clock(view.now))} <a href="">Refresh</a></p>
</header>
<main>
<h1>${title}</h1>
<p class="lead">${lead}</p>
${facts(view)}
${surfaces(view)}
${incidents(view)}
${approvals(view)}
${runningNow(view)}
${environments(view)}
${recently(view)}
</main>
<footer>
<p>Comio ${said(view.version)}, up ${span(view.now.getTime() - view.startedAt.getTime())}, started ${time(view.startedAt, `${day(view.startedAt)} ${clock(view.startedAt)}`)}</p>
</footer>
</body>
</html>
`;
  // `html` waits only for promises among its values, and there are none.
  if (page instanceof Promise) throw new TypeError('The status page is made of what is known');
  return page.toString();
}

function headline(view: StatusView): { title: string; lead: string } {
  const away = view.surfaces.filter((surface) => !surface.connected).map((surface) => nameOf(surface.name));
  const work =
    view.runningCount === 0
      ? 'Nobody has asked for anything right now.'
      : `Working on ${plural(view.runningCount, 'request')} in ${plural(view.sandboxes.running, 'sandbox', 'sandboxes')}.`;
  if (!view.database.connected) {
    return { title: 'The database is away', lead: 'Nothing can start until it is back; nothing is lost.' };
  }
  if (view.surfaces.length === 0) {
    return {
      title: 'Not connected yet',
      lead: 'Give Comio a Slack, Discord or GitHub app, and it starts to listen.',
    };
  }
  if (away.length === view.surfaces.length) return { title: 'No chat is connected', lead: work };
  if (away.length > 0) return { title: `${list(away)} ${away.length === 1 ? 'is' : 'are'} away`, lead: work };
  if (view.counts.incidents > 0) return { title: plural(view.counts.incidents, 'open incident'), lead: work };
  return { title: 'All is well', lead: work };
}

const facts = (view: StatusView) => html`<dl class="facts">
<div><dt>Requests</dt><dd>${view.runningCount}</dd><dd class="note">being worked on</dd></div>
<div><dt>Incidents</dt><dd>${view.counts.incidents}</dd><dd class="note">open</dd></div>
<div><dt>Approvals</dt><dd>${view.counts.approvals}</dd><dd class="note">waiting for people</dd></div>
<div><dt>Environments</dt><dd>${view.counts.environments}</dd><dd class="note">where apps run</dd></div>
<div><dt>Sandboxes</dt><dd>${view.sandboxes.running}</dd><dd class="note">${view.sandboxes.total === 0 ? 'none yet' : `running of ${view.sandboxes.total}`}, ${said(view.sandboxes.driver)}</dd></div>
<div><dt>Database</dt><dd>${state(view.database.connected, 'Ready', 'Away')}</dd><dd class="note">${said(view.database.detail)}</dd></div>
</dl>`;

const surfaces = (view: StatusView) => html`<section aria-labelledby="chats">
<h2 id="chats">Chats</h2>
${
  view.surfaces.length === 0
    ? empty('No chat is set up. Start the service without tokens and it prints the links that make an app.')
    : html`<ul class="rows">${view.surfaces.map(
        (surface) =>
          html`<li><span class="name">${said(nameOf(surface.name))}</span> <span class="note">${said(surface.detail)}</span> ${state(surface.connected, 'Connected', 'Away')}</li>`,
      )}</ul>`
}
</section>`;

const severities = { info: 'Notice', warning: 'Warning', critical: 'Critical' };

const incidents = (view: StatusView) =>
  view.incidents.length === 0
    ? ''
    : html`<section aria-labelledby="incidents">
<h2 id="incidents">${caption(view.incidents.length, view.counts.incidents, 'Open incidents')}</h2>
<ul class="rows">${view.incidents.map(
        (one) =>
          html`<li><span class="name">${said(one.project)}</span> <span class="note">${said(one.title)}, for ${time(one.openedAt, span(view.now.getTime() - one.openedAt.getTime()))}</span> <span class="state ${one.severity === 'info' ? '' : 'bad'}">${severities[one.severity]}</span></li>`,
      )}</ul>
</section>`;

const approvals = (view: StatusView) =>
  view.approvals.length === 0
    ? ''
    : html`<section aria-labelledby="approvals">
<h2 id="approvals">${caption(view.approvals.length, view.counts.approvals, 'Waiting for people')}</h2>
<ul class="rows">${view.approvals.map(
        (one) =>
          html`<li><span class="name">${said(one.project ?? '')}</span> <span class="note">${said(one.subject)}</span> <span class="state">${time(one.askedAt, `${span(view.now.getTime() - one.askedAt.getTime())} ago`)}</span></li>`,
      )}</ul>
</section>`;

const environmentStates = {
  live: state(true, 'Live', ''),
  deploying: html`<span class="state">Deploying</span>`,
  waiting: html`<span class="state">Waits for approval</span>`,
  empty: html`<span class="state">Nothing live</span>`,
};

const environments = (view: StatusView) =>
  view.environments.length === 0
    ? ''
    : html`<section aria-labelledby="environments">
<h2 id="environments">${caption(view.environments.length, view.counts.environments, 'Environments')}</h2>
<ul class="rows">${view.environments.map(
        ({ project, name, commit, state }) =>
          html`<li><span class="name">${said(project)}</span> <span class="note">${said(name)}${commit ? html`, <code>${commit.sha}</code> ${said(commit.message)}` : ''}</span> ${environmentStates[state]}</li>`,
      )}</ul>
</section>`;

const runningNow = (view: StatusView) => html`<section aria-labelledby="now">
<h2 id="now">Working now</h2>
${
  view.running.length === 0
    ? empty('Nothing is running. Mention Comio in a thread and it shows up here.')
    : html`<table>
<caption>${caption(view.running.length, view.runningCount, 'Requests being worked on')}</caption>
<thead><tr><th scope="col">Request</th><th scope="col">Doing</th><th scope="col">For</th></tr></thead>
<tbody>${view.running.map(
        (run) => html`<tr>
${request(run)}
<td>${said(run.doing)}</td>
<td class="time">${time(run.startedAt, span(view.now.getTime() - run.startedAt.getTime()))}</td>
</tr>`,
      )}</tbody>
</table>`
}
</section>`;

const recently = (view: StatusView) => html`<section aria-labelledby="recent">
<h2 id="recent">Recently</h2>
${
  view.recent.length === 0
    ? empty('Nothing has been finished yet.')
    : html`<table>
<caption>Requests that ended last, newest first</caption>
<thead><tr><th scope="col">Request</th><th scope="col">Outcome</th><th scope="col">Ended</th></tr></thead>
<tbody>${view.recent.map(
        (run) => html`<tr>
${request(run)}
<td><span class="outcome ${run.outcome}">${outcomes[run.outcome]}</span>${pullRequest(run.pullRequest)}</td>
<td class="time">${time(run.endedAt, `${span(view.now.getTime() - run.endedAt.getTime())} ago`)}</td>
</tr>`,
      )}</tbody>
</table>`
}
</section>`;

const request = (run: StatusRun) =>
  html`<th scope="row"><span class="request">${said(run.request)}</span> <span class="note">${run.project === undefined ? '' : html`${said(run.project)}, `}${said(nameOf(run.surface))}</span></th>`;

/** Only a web address becomes a link: everything else on the page is text. */
const pullRequest = (to: { number: number; url: string } | undefined) => {
  if (!to) return '';
  const label = `Pull request ${to.number}`;
  const web = URL.canParse(to.url) && ['http:', 'https:'].includes(new URL(to.url).protocol);
  return web
    ? html` <a class="pull" href="${to.url}" rel="noreferrer">${label}</a>`
    : html` <span class="pull">${label}</span>`;
};

function state(good: boolean, yes: string, no: string) {
  return html`<span class="state ${good ? 'good' : 'bad'}">${good ? yes : no}</span>`;
}

/** The most characters shown of any words from elsewhere. */
const MOST = 160;

/** Words from elsewhere, in whatever direction they are written: they turn nothing around them. */
function said(text: string) {
  const characters = Array.from(text);
  return html`<bdi>${characters.length <= MOST ? text : `${characters.slice(0, MOST - 1).join('')}…`}</bdi>`;
}

const empty = (text: string) => html`<p class="empty">${text}</p>`;

const time = (at: Date, text: string) => html`<time datetime="${at.toISOString()}">${text}</time>`;

const caption = (shown: number, all: number, text: string): string =>
  shown < all ? `${text}, ${shown} of ${all}` : text;

const clock = (at: Date): string => `${at.toISOString().slice(11, 16)} UTC`;
const day = (at: Date): string => at.toISOString().slice(0, 10);

/** A length of time in its largest unit, two where the second one still tells something. */
function span(ms: number): string {
  const minutes = Math.floor(Math.max(0, ms) / 60_000);
  if (minutes < 1) return 'under a minute';
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return plural(Math.floor(hours / 24), 'day');
}

const plural = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

const list = (words: string[]): string =>
  words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
