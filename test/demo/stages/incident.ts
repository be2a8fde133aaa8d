import { setTimeout } from 'node:timers/promises';
import { bug } from '#observability/demo-app/history.ts';
import { createTraffic, type Traffic } from '#observability/demo-app/traffic.ts';
import type { SlackMessage } from '../../peers/slack.ts';
import type { Terminal } from '../terminal.ts';
import type { Watched, World } from '../world.ts';
import { deploy } from './deploy.ts';
import { answered, only, PATIENCE_MS, passes, press, type Stage, say, textOf, tsOf } from './stage.ts';

const REPOSITORY = 'shop';
const ENVIRONMENT = 'shop-staging';
/** Requests a second. */
const RATE = 25;
/** What the detectors learn from before they judge. */
const HEALTHY_MS = 30_000;
/** Of the shop alone: the proxy and Comio have no such path. */
const PATHS = ['/orders?customer=demo'];
const ERRORS = `app:http_errors:ratio{app="${ENVIRONMENT}"}`;

const shared: {
  thread?: string;
  traffic?: Traffic;
  /** The most the series was while nothing was wrong. */
  healthyMost?: number;
  incident?: SlackMessage;
  approval?: SlackMessage;
  pull?: number;
} = {};
const kept = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('the stage before this one did not run');
  return value;
};
const watched = (world: World): Watched => kept(world.watched);

/** Waits until `see` sees it; the last thing it complained of is the reason when it never does. */
async function seen<T>(terminal: Terminal, what: string, see: () => Promise<T | undefined>): Promise<T> {
  const done = terminal.wait(what);
  try {
    for (const until = Date.now() + PATIENCE_MS; ; await setTimeout(300)) {
      const found = await see();
      if (found !== undefined) return found;
      if (Date.now() > until) throw new Error(`not seen: ${what}`);
    }
  } finally {
    done();
  }
}

const goLive: Stage = {
  part: 'incident',
  title: 'A shop goes live, and customers come',
  async run(world, terminal) {
    const { org } = world.github;
    const { history } = watched(world);
    const thread = await say(world, terminal, `@comio import ${org}/${REPOSITORY}`);
    shared.thread = thread;
    await answered(world, terminal, thread, 'Comio imports the repository', (text) => /Imported/.test(text));
    const live = await deploy(world, terminal, {
      thread,
      app: ENVIRONMENT,
      sha: history.goodCommit,
      paths: PATHS,
    });
    shared.traffic = createTraffic({
      baseUrl: world.service.url,
      host: world.hostOf(ENVIRONMENT),
      rate: RATE,
      seed: 7,
    });
    world.keep(shared.traffic);
    const since = new Date();
    const done = terminal.wait(`${RATE} requests a second, for ${HEALTHY_MS / 1000} s nothing happens`);
    await setTimeout(HEALTHY_MS);
    done();
    const { ok, failed, unanswered } = shared.traffic.counts();
    if (failed + unanswered > 0)
      throw new Error(`of the shop's requests ${failed} failed and ${unanswered} got no answer`);
    const alerts = (await watched(world).prometheus.alerts()).filter(
      ({ labels }) => labels.app === ENVIRONMENT,
    );
    if (alerts.length > 0) throw new Error(`an alert without a fault: ${JSON.stringify(alerts[0]?.labels)}`);
    const healthy = await only(
      watched(world).prometheus.range(ERRORS, since, new Date()),
      `series of ${ERRORS}`,
    );
    const most = Math.max(...healthy.values.map(([, value]) => Number(value)));
    shared.healthyMost = most;
    return `${live}; ${ok} requests answered, none failed, no alert, error ratio at most ${most.toFixed(3)}`;
  },
};

const notice: Stage = {
  part: 'incident',
  title: 'A bad commit is deployed, and noticed',
  async run(world, terminal) {
    const { history, prometheus, pushBad } = watched(world);
    const thread = kept(shared.thread);
    await pushBad();
    terminal.show({
      id: 'bad-commit',
      thread: `GitHub ${world.github.org}/${REPOSITORY}`,
      author: 'Grace',
      byBot: false,
      text: `pushes ${history.badCommit.slice(0, 7)} to main: ${kept(history.commits.at(-1)).message}`,
    });
    const before = await tsOf(world, thread);
    await deploy(world, terminal, { thread, app: ENVIRONMENT, sha: history.badCommit, paths: PATHS });
    const since = Date.now();
    const alert = await seen(terminal, 'Prometheus sees requests fail, Alertmanager tells', async () =>
      (await prometheus.alerts()).find(({ labels }) => labels.app === ENVIRONMENT),
    );
    shared.incident = await answered(
      world,
      terminal,
      thread,
      'Comio opens an incident',
      (text) => /pieces of evidence|Gathering evidence/.test(text),
      before,
    );
    const seconds = Math.round((Date.now() - since) / 1000);
    return `Alertmanager holds ${alert.labels.alertname}; incident in the thread ${seconds} s after the deployment`;
  },
};

/** The incident's card as it reads now. */
async function incidentText(world: World): Promise<string> {
  const { ts } = kept(shared.incident);
  const message = (await world.slack.thread(kept(shared.thread))).find((one) => one.ts === ts);
  return message ? textOf(message) : '';
}

const diagnose: Stage = {
  part: 'incident',
  title: 'Diagnosed from evidence',
  async run(world, terminal) {
    const text = await seen(terminal, 'Comio gathers evidence, the model explains', async () => {
      const now = await incidentText(world);
      if (/Nothing found/.test(now)) throw new Error(now);
      return /Root cause/i.test(now) ? now : undefined;
    });
    if (world.isScripted && !text.includes(bug.file))
      throw new Error(`the diagnosis does not name ${bug.file}:\n${text}`);
    const said = text.split('\n').filter((line) => !/^\W*\[\d+\]/.test(line));
    const cited = new Set([...said.join('\n').matchAll(/\[(\d+)\]/g)].map(([, number]) => number));
    if (world.isScripted && !/1 statement without evidence was left out/.test(text))
      throw new Error(`what the model made up was not left out:\n${text}`);
    if (cited.size === 0) throw new Error(`the diagnosis cites no evidence:\n${text}`);
    const [, count = '?'] = /Gathered (\d+) pieces/.exec(text) ?? [];
    const cites = `cites ${cited.size} of ${count} pieces of evidence`;
    return world.isScripted
      ? `names ${bug.file}, ${cites}; what the model made up was left out`
      : `says a root cause, ${cites}`;
  },
};

const repair: Stage = {
  part: 'incident',
  title: 'Reproduced and fixed in a sandbox, approved in the thread',
  async run(world, terminal) {
    const thread = kept(shared.thread);
    const approval = await answered(
      world,
      terminal,
      thread,
      'Comio reproduces the fault and fixes it',
      (text) => /\[Approve\]/.test(text) && /\[Reject\]/.test(text),
    );
    const text = textOf(approval);
    const needed = [/before the change: exit (?!0\b)\d+/, /after it: exit 0\b/];
    for (const one of needed)
      if (!one.test(text)) throw new Error(`the question does not show ${one}:\n${text}`);
    if (world.isScripted && !text.includes(bug.reproduction.command))
      throw new Error(`the question does not show ${bug.reproduction.command}:\n${text}`);
    await press(world, terminal, approval, { id: 'approval-approve', label: 'Approve' });
    const on = { owner: world.github.org, repo: REPOSITORY };
    const pull = await seen(terminal, 'Comio opens the pull request', async () =>
      (await world.github.pullRequests(on)).find(({ state }) => state === 'open'),
    );
    shared.pull = pull.number;
    const files = await world.github.pullRequestFiles({ ...on, number: pull.number });
    const names = files.map(({ filename }) => filename).sort();
    const changes = `pull request #${pull.number} changes ${names.join(', ')}`;
    if (!world.isScripted) {
      const tested = await passes(world, terminal, `${on.owner}/${on.repo}`, pull.head.branch);
      return `${changes}; ${tested}`;
    }
    if (!names.includes(bug.file) || !names.includes(bug.reproduction.file))
      throw new Error(`the pull request changes ${names.join(', ')}`);
    const before = await world.tryOut(`${on.owner}/${REPOSITORY}`, 'main', bug.reproduction.command);
    if (before.exitCode === 0) throw new Error('the reproduction passes without the fix');
    const after = await world.tryOut(
      `${on.owner}/${REPOSITORY}`,
      pull.head.branch,
      `${bug.reproduction.command} && npm test`,
    );
    if (after.exitCode !== 0) throw new Error(`the branch of the fix fails:\n${after.output}`);
    return `${changes}; its reproduction and the tests pass in a clone of it`;
  },
};

const recover: Stage = {
  part: 'incident',
  title: 'Merged, deployed again, recovered',
  async run(world, terminal) {
    const { prometheus } = watched(world);
    const on = { owner: world.github.org, repo: REPOSITORY, number: kept(shared.pull) };
    const sha = await world.github.merge(on);
    terminal.show({
      id: 'merge',
      thread: `GitHub ${on.owner}/${on.repo}#${on.number}`,
      author: 'Grace',
      byBot: false,
      text: `merges #${on.number} as ${sha.slice(0, 7)}`,
    });
    const thread = kept(shared.thread);
    const live = await deploy(world, terminal, { thread, app: ENVIRONMENT, sha, paths: PATHS });
    await seen(terminal, 'Comio watches the same series', async () => {
      const text = await incidentText(world);
      if (/Not resolved/.test(text)) throw new Error(text);
      return /Resolved/.test(text) ? true : undefined;
    });
    const most = kept(shared.healthyMost);
    const value = await seen(terminal, 'the series is back in its band', async () => {
      const { value } = await only(prometheus.instant(ERRORS), `series of ${ERRORS}`);
      return value <= most ? value : undefined;
    });
    await seen(terminal, 'the alert is over', async () =>
      (await prometheus.alerts()).some(({ labels }) => labels.app === ENVIRONMENT) ? undefined : true,
    );
    const { ok, failed } = await kept(shared.traffic).stop();
    return `${live}; error ratio ${value.toFixed(3)}, at most ${most.toFixed(3)} before the fault; no alert, incident resolved; ${ok} requests answered in all, ${failed} failed while the bad commit was live`;
  },
};

export const incidentStages: readonly Stage[] = [goLive, notice, diagnose, repair, recover];
