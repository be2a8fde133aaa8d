import { spawn } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { createLogger } from '#observability/log.ts';
import { drivers } from '#sandbox/drivers/index.ts';
import { type PeerAnswer, startLlmPeer } from '../peers/llm-http.ts';
import { createSlackPeer, type SlackPeer } from '../peers/slack.ts';
import { type Service, startService } from '../support/service.ts';
import { textOfBlocks } from '../support/slack-text.ts';
import { createBareBolt } from './bare-bolt.ts';
import { compare, type Result, timed } from './measure.ts';

const suite = 'core';
const LIMITS = { memoryMb: 512, cpus: 1, pids: 128 };

/** What people wait for, beside the least that could do it. */
export async function* coreSuite(): AsyncGenerator<Result> {
  yield* chat();
  yield* sandboxes();
  yield* startUp();
}

/** Bytes of an OpenAI stream: one text, or one command that takes as long as was asked for last. */
function answerOf(body: unknown): PeerAnswer {
  const seconds = [...JSON.stringify(body).matchAll(/take (\d+) seconds/g)].at(-1)?.[1];
  const delta = seconds
    ? {
        tool_calls: [
          {
            index: 0,
            id: randomUUID(),
            type: 'function',
            function: { name: 'run_command', arguments: JSON.stringify({ command: `sleep ${seconds}` }) },
          },
        ],
      }
    : { content: 'An answer.' };
  const chunk = (choice: object, usage?: object) =>
    `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 0, model: 'm', choices: choice ? [choice] : [], ...usage })}\n\n`;
  return {
    headers: { 'content-type': 'text/event-stream' },
    chunks: [
      chunk({ index: 0, delta: { role: 'assistant', ...delta }, finish_reason: null }),
      chunk({ index: 0, delta: {}, finish_reason: 'tool_calls' in delta ? 'tool_calls' : 'stop' }),
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 0, model: 'm', choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } })}\n\n`,
      'data: [DONE]\n\n',
    ],
  };
}

/** Posts an event as Slack does. Resolves with the answer's status. */
async function post(slack: SlackPeer, url: string, event: Record<string, unknown>): Promise<void> {
  const body = JSON.stringify({
    type: 'event_callback',
    team_id: slack.ids.team,
    api_app_id: slack.ids.app,
    event_id: randomUUID(),
    event_time: 0,
    event,
    authorizations: [{ team_id: slack.ids.team, user_id: slack.ids.bot, is_bot: true }],
  });
  const time = String(Math.floor(Date.now() / 1000));
  const mac = createHmac('sha256', slack.env.SLACK_SIGNING_SECRET).update(`v0:${time}:${body}`).digest('hex');
  const answer = await fetch(`${url}/slack/events`, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-slack-request-timestamp': time,
      'x-slack-signature': `v0=${mac}`,
    },
  });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`the webhook was answered with ${answer.status}`);
}

/** A message that is there, and the event Slack would deliver of it. */
async function mention(slack: SlackPeer, text: string, thread?: string): Promise<Record<string, unknown>> {
  const ts = await slack.say({ user: 'ada', text: `@comio ${text}`, thread, copies: 0 });
  return {
    type: 'app_mention',
    user: slack.ids.ada,
    text: `<@${slack.ids.bot}> ${text}`,
    ts,
    event_ts: ts,
    channel: slack.ids.channel,
    team: slack.ids.team,
    ...(thread ? { thread_ts: thread } : {}),
  };
}

async function* chat(): AsyncGenerator<Result> {
  await using slack = await createSlackPeer();
  const asked: (() => void)[] = [];
  await using llm = await startLlmPeer((_path, body) => {
    for (const tell of asked.splice(0)) tell();
    return answerOf(body);
  });
  const dataDir = await mkdtemp(join(tmpdir(), 'comio-bench-'));
  const { SLACK_APP_TOKEN: _socketMode, ...overHttp } = slack.env;
  try {
    await using service = await startService({
      COMIO_DATA_DIR: dataDir,
      LOG_LEVEL: 'info',
      LLM_PROVIDER: 'openai',
      OPENAI_API_KEY: 'sk-local-bench',
      OPENAI_BASE_URL: `${llm.url}/v1`,
      ...overHttp,
    });
    await using bare = await createBareBolt({
      signingSecret: slack.env.SLACK_SIGNING_SECRET,
      token: slack.env.SLACK_BOT_TOKEN,
      slackApiUrl: slack.env.SLACK_API_URL,
    });
    const acknowledged = async (url: string, text: string) => {
      const event = await mention(slack, text);
      return timed(() => post(slack, url, event));
    };
    const echo = async () => {
      const event = await mention(slack, 'echo');
      const before = slack.count('chat.postMessage');
      return timed(async () => {
        await post(slack, bare.url, event);
        await slack.until(() => slack.count('chat.postMessage') > before);
      });
    };
    yield await compare({
      suite,
      name: 'webhook-ack',
      baseline: 'bare Bolt echo app, acknowledged',
      n: 40,
      // A service runs for weeks: what is measured is not how V8 warms up.
      warmup: 20,
      ours: () => acknowledged(service.url, 'help'),
      theirs: () => acknowledged(bare.url, 'echo'),
    });

    const thread = await startThread(slack, service);
    yield await compare({
      suite,
      name: 'webhook-to-model',
      baseline: 'bare Bolt echo app, webhook to its post',
      n: 20,
      async ours() {
        const finals = await finalsIn(slack, thread);
        const { promise, resolve } = Promise.withResolvers<void>();
        const event = await mention(slack, 'ask what is this?', thread);
        asked.push(resolve);
        const took = await timed(async () => {
          await post(slack, service.url, event);
          await promise;
        });
        await slack.until(async () => (await finalsIn(slack, thread)) > finals, 60_000);
        return took;
      },
      theirs: echo,
    });
    let seconds = 100;
    yield await compare({
      suite,
      name: 'stop',
      baseline: 'bare Bolt echo app, webhook to its post',
      n: 10,
      warmup: 1,
      async ours() {
        // Each time another number: what earlier commands left in the thread does not count.
        seconds += 1;
        await post(slack, service.url, await mention(slack, `edit take ${seconds} seconds`, thread));
        await slack.until(async () => (await readable(slack, thread)).includes(`sleep ${seconds}`), 60_000);
        const event = await mention(slack, 'stop', thread);
        const before = stops(await readable(slack, thread));
        const took = await timed(async () => {
          await post(slack, service.url, event);
          await slack.until(async () => stops(await readable(slack, thread)) > before, 60_000);
        });
        return took;
      },
      theirs: echo,
    });
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

const readable = async (slack: SlackPeer, thread: string): Promise<string> =>
  (await slack.thread(thread)).map(({ blocks, text }) => textOfBlocks(blocks) || text).join('\n');

const finalsIn = async (slack: SlackPeer, thread: string): Promise<number> =>
  (await readable(slack, thread)).split('An answer.').length - 1;

const stops = (text: string): number => text.match(/Stopped by/g)?.length ?? 0;

/** A thread with a run whose sandbox stands ready. */
async function startThread(slack: SlackPeer, _service: Service): Promise<string> {
  slack.deliverTo(`${_service.url}/slack/events`);
  const thread = await slack.say({ user: 'ada', text: '@comio new a bench' });
  await slack.until(async () => (await finalsIn(slack, thread)) > 0, 600_000);
  return thread;
}

async function* sandboxes(): AsyncGenerator<Result> {
  await using driver = drivers.docker({ dockerHost: undefined, log: createLogger('error') });
  const sandbox = await driver.create({ key: `bench-${process.pid}`, limits: LIMITS, network: 'none' });
  const container = new Docker().getContainer(sandbox.id);
  try {
    yield await compare({
      suite,
      name: 'exec-true',
      baseline: 'docker exec true, through dockerode',
      n: 40,
      ours: () => timed(() => sandbox.exec('true')),
      theirs: () =>
        timed(async () => {
          const exec = await container.exec({ Cmd: ['true'], AttachStdout: true, AttachStderr: true });
          const stream = await exec.start({ hijack: true });
          stream.resume();
          await once(stream, 'end');
          await exec.inspect();
        }),
    });
  } finally {
    await sandbox.destroy();
  }
}

const BARE_HONO = `
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
const app = new Hono().get('/', (c) => c.text('ok'));
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => process.stdout.write('listening'));
`;

async function* startUp(): AsyncGenerator<Result> {
  const dataDir = await mkdtemp(join(tmpdir(), 'comio-bench-'));
  try {
    for (const until of ['listening', 'ready'] as const)
      yield await compare({
        suite,
        name: `start-to-${until}`,
        baseline: 'bare Hono server, listening',
        n: 8,
        warmup: 1,
        ours: () => startedIn(dataDir, until),
        theirs: bareHono,
      });
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function startedIn(dataDir: string, until: 'listening' | 'ready'): Promise<number> {
  const service = await startService({ COMIO_DATA_DIR: dataDir, LOG_LEVEL: 'info' });
  await service.terminate();
  return service.took[until];
}

async function bareHono(): Promise<number> {
  const started = performance.now();
  const child = spawn(process.execPath, ['--input-type=module', '-e', BARE_HONO], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const took = performance.now() - started;
  child.kill();
  await once(child, 'exit');
  return took;
}
