import { execFile as execFileCallback } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { namespaceOf } from '#core/deployments/namespace.ts';
import { buildShopRepository } from '#observability/demo-app/history.ts';
import { createTraffic } from '#observability/demo-app/traffic.ts';
import { createDockerWorld } from '../adapters/targets/docker-world.ts';
import { freePort } from '../support/free-port.ts';
import { type PrometheusStack, startPrometheus } from '../support/prometheus.ts';
import { createServiceWorld, type ServiceWorld } from '../support/service-world.ts';
import { createTempDir } from '../support/temp-dir.ts';

/*
 * The shop as Comio runs it, in a container; Prometheus and Alertmanager as they are; people who order, and a switch
 * that makes one order in three fail. That healthy hours are quiet and each of the faults is one incident is seen in
 * test/core/incidents/replay.test.ts, of a whole hour at a time; here it is seen for real.
 */

const execFile = promisify(execFileCallback);
const APP = 'shop-staging';
const NOTHING = { rootCause: null, category: 'unknown', confidence: 0, claims: [], nextActions: [] };
const script = {
  scenarios: [
    {
      name: 'diagnose',
      when: '^Diagnose this incident',
      steps: [{ toolCalls: [{ name: 'report_diagnosis', input: NOTHING }] }],
    },
  ],
};
/** What the detectors learn from before they judge, and something to judge. */
const HEALTHY_MS = 30_000;

/** The shop's good commit, and one on top that lets staging rehearse failures. */
async function publishShop(world: ServiceWorld, directory: string): Promise<void> {
  const { github } = world;
  const { goodCommit } = await buildShopRepository(directory);
  const { cloneUrl } = await github.createRepository({ owner: github.org, name: 'shop' });
  const remote = new URL(cloneUrl);
  remote.username = 'x-access-token';
  remote.password = github.tokenOf('ada');
  await execFile('git', ['-C', directory, 'push', '--quiet', remote.href, `${goodCommit}:refs/heads/main`]);
  const variables = JSON.stringify({ env: { staging: { CHAOS: '1' } } });
  const files = { '.comio/deploy.json': variables };
  await github.pushBranch({ owner: github.org, repo: 'shop', branch: 'main', files });
}

const isIncident = (message: string) => /Gathering evidence|pieces of evidence/.test(message);
const incidents = async (world: ServiceWorld, thread: string) =>
  (await world.read(thread)).filter((message) => isIncident(message.text));

/** Points that Prometheus has of the shop. */
const scrapesOf = async (prometheus: PrometheusStack): Promise<number> => {
  const [counted] = await prometheus.instant(`count_over_time(up{app="${APP}"}[10m])`);
  return counted?.value ?? 0;
};

it('says nothing of a healthy shop, and opens one incident with a plot when orders fail', {
  timeout: 600_000,
}, async () => {
  // What was deployed is there until the service has ended.
  await using deployed = new AsyncDisposableStack();
  await using held = new AsyncDisposableStack();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const token = randomBytes(24).toString('hex');
  const prometheus = held.use(await startPrometheus({ comioUrl: url, token, say: console.log }));
  const world = held.use(
    await createServiceWorld({
      script,
      env: () => ({
        PORT: String(port),
        ALERTS_TOKEN: token,
        PROMETHEUS_URL: prometheus.prometheusUrl,
        DETECT_STEP_SECONDS: '1',
      }),
    }),
  );
  deployed.use(createDockerWorld(namespaceOf({ dataDir: world.dataDir })));
  const { path } = held.use(await createTempDir());
  await publishShop(world, join(path, 'shop'));
  const host = `${APP}.localhost:${port}`;

  const thread = await world.slack.say({ user: 'ada', text: `@comio import ${world.github.org}/shop` });
  await world.answer(thread, (message) => /Imported/.test(message));
  await world.slack.say({ user: 'ada', text: '@comio deploy staging', thread });
  await world.answer(thread, (message) => /is live in staging/.test(message));
  await world.answer(thread, (message) => message.includes('CHAOS=1'));

  const traffic = held.use(createTraffic({ baseUrl: url, host, rate: 25, seed: 7 }));
  await setTimeout(HEALTHY_MS);
  expect(traffic.counts()).toMatchObject({ failed: 0, unanswered: 0 });
  expect(await incidents(world, thread)).toEqual([]);

  const before = await scrapesOf(prometheus);
  expect(before).toBeGreaterThan(10);
  expect(await chaos(url, host, 'errors', { share: 0.33 })).toBe(200);
  const opened = await world.answer(thread, isIncident);
  const scrapes = (await scrapesOf(prometheus)) - before;
  console.log(`errors: ${before} healthy scrapes without an incident, then one after ${scrapes} scrapes`);

  // Until the detectors have seen it, too, and until it was diagnosed.
  const shown = await world.slack.until(async () => {
    const message = (await world.slack.thread(thread)).find(({ ts }) => ts === opened.ts);
    const pictures = message ? world.slack.pictures(message) : [];
    const diagnosed = (await incidents(world, thread)).some((one) => /Diagnosed ·/.test(one.text));
    return diagnosed && pictures.length > 0 && pictures;
  }, 120_000);
  expect(shown).toEqual([{ alt: expect.stringContaining('error ratio'), png: expect.any(Buffer) }]);
  expect(shown[0]?.png.subarray(1, 4).toString()).toBe('PNG');
  expect(await incidents(world, thread)).toHaveLength(1);

  // It goes by itself, and that is of the same incident.
  expect(await chaos(url, host, 'reset')).toBe(200);
  await world.answer(thread, (message) => isIncident(message) && /Quiet: /.test(message));
  expect(await incidents(world, thread)).toHaveLength(1);
});

/** Turns a switch of the shop, through Comio's proxy. Resolves with the status. */
function chaos(url: string, host: string, name: string, body: object = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { host, 'content-type': 'application/json' };
    const sent = request(new URL(`/chaos/${name}`, url), { method: 'POST', headers }, (response) => {
      text(response).then(() => resolve(response.statusCode ?? 0), reject);
    });
    sent.on('error', reject);
    sent.end(JSON.stringify(body));
  });
}
