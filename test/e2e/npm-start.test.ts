import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '#core/store/database.ts';
import { silentLog } from '../support/silent-log.ts';
import { createTempDir } from '../support/temp-dir.ts';

const root = new URL('../..', import.meta.url).pathname;
const cleaning = new AsyncDisposableStack();
let directory: string;
let data: string;
beforeAll(async () => {
  directory = cleaning.use(await createTempDir()).path;
  data = join(directory, 'data');
});
afterAll(() => cleaning.disposeAsync());

/** `node bots/main.ts` with nothing in its environment but these. */
function comio(args: string[], env: Record<string, string> = {}): ChildProcess {
  const { PATH = '', HOME = '' } = process.env;
  return spawn(process.execPath, ['bots/main.ts', ...args], {
    cwd: root,
    env: { PATH, HOME, PORT: '0', COMIO_DATA_DIR: data, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Runs to its end. */
async function result(child: ChildProcess): Promise<{ code: number | null; out: string; err: string }> {
  if (!child.stdout || !child.stderr) throw new Error('the process has no pipes');
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return { code, out, err };
}

/** Starts the service and waits for the end of what it says. */
async function start(env: Record<string, string> = {}) {
  const child = comio([], env);
  if (!child.stdout || !child.stderr) throw new Error('the process has no pipes');
  let said = '';
  const errors = text(child.stderr);
  for await (const chunk of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    said += chunk;
    if (/^ {2}model .*\n/m.test(said)) break;
  }
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0];
  if (url === undefined) throw new Error(`it did not start: ${await errors}`);
  const stop = async (): Promise<number | null> => {
    if (child.exitCode !== null) return child.exitCode;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    return (await exited)[0];
  };
  return { url, said, stop, [Symbol.asyncDispose]: async () => void (await stop()) };
}

describe('npm start with nothing configured', () => {
  it('says what is missing and where to get it, answers, and ends in order', async () => {
    await using service = await start();
    expect(service.said.trim().split('\n')).toHaveLength(5);
    expect(service.said).toMatch(/slack +off: set SLACK_BOT_TOKEN, SLACK_APP_TOKEN or SLACK_SIGNING_SECRET;/);
    const manifest = /https:\/\/api\.slack\.com\/apps\?new_app=1\S+/.exec(service.said)?.[0] ?? '';
    const app = JSON.parse(new URL(manifest).searchParams.get('manifest_json') ?? '');
    expect(app.display_information.name).toBe('Comio');
    expect(service.said).toMatch(/discord +off: set DISCORD_TOKEN; .*discord\.com\/developers/);
    expect(service.said).toContain(`create the app: ${service.url}/setup/github`);
    expect(service.said).toMatch(/model +none: set ANTHROPIC_API_KEY, OPENAI_API_KEY or OLLAMA_HOST/);

    const get = (path: string) => fetch(service.url + path);
    expect(await (await get('/healthz')).json()).toEqual({ status: 'ok' });
    const ready = await get('/readyz');
    expect([ready.status, await ready.json()]).toEqual([200, { status: 'ready', missing: [] }]);
    expect(await (await get('/metrics')).text()).toContain('comio_turns_open 0');
    expect(await (await get('/')).text()).toContain('Not connected yet');
    expect(await (await get('/setup/github')).text()).toContain('manifest');

    const second = await result(comio([]));
    expect(second.code).toBe(2);
    expect(second.err).toMatch(/in use by another Comio process \(pid \d+\)/);

    expect(await service.stop()).toBe(0);
  });

  it('has a link for the Discord bot once the application is known', async () => {
    await using service = await start({ DISCORD_APPLICATION_ID: '123456789', LLM_PROVIDER: 'anthropic' });
    expect(service.said).toMatch(/https:\/\/discord\.com\/oauth2\/authorize\?client_id=123456789&scope=bot/);
    expect(service.said).toMatch(/model +none: LLM_PROVIDER is anthropic, which is not set up/);
    expect(await service.stop()).toBe(0);
  });
});

describe('npm start with something wrong', () => {
  it('names every wrong setting at once, by name, without its value', async () => {
    const { code, err } = await result(
      comio([], { PORT: 'http', LOG_LEVEL: 'loud', SLACK_BOT_TOKEN: 'wrong-token-value' }),
    );
    expect(code).toBe(2);
    expect(err).toContain('3 problems');
    for (const name of ['PORT', 'LOG_LEVEL', 'SLACK_BOT_TOKEN']) expect(err).toMatch(`  ${name}: `);
    expect(err).not.toContain('wrong-token-value');
    expect(err).not.toMatch(/^\s+at /m);
  });

  it.each([
    [
      'a PostgreSQL that is not there',
      { DATABASE_URL: 'postgres://u:pw@127.0.0.1:1/x' },
      /cannot be reached/,
    ],
    ['a Discord that is not there', { DISCORD_TOKEN: 'x', DISCORD_API_URL: 'http://127.0.0.1:1' }, /Discord/],
    ['a script that is not there', { LLM_SCRIPT: '/no/such/file' }, /script .* cannot be read/],
  ])('says so in a sentence: %s', async (_, env, message) => {
    const { code, err } = await result(comio([], env));
    expect(code).toBe(2);
    const words = err.split('\n').filter((line) => !line.startsWith('{'));
    expect(words.join('\n')).toMatch(message);
    expect(words.filter((line) => /^\s+at /.test(line))).toEqual([]);
  });

  it('says so in a sentence: a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' && address ? String(address.port) : '';
    const { code, err } = await result(comio([], { PORT: port }));
    other.close();
    expect(code).toBe(2);
    expect(err).toMatch(`address already in use 127.0.0.1:${port}`);
  });
});

describe('comio backup and restore', () => {
  it('bring everything into a new directory, and never over what is there', async () => {
    const old = { dataDir: data, log: silentLog };
    const note = { actor: 'test', action: 'turn.start', subject: 'x', detail: '{}' };
    {
      await using database = await openDatabase(old);
      await database.db.insertInto('audit').values(note).execute();
    }
    const file = join(directory, 'comio.backup');
    expect((await result(comio(['backup', file]))).code).toBe(0);
    const fresh = join(directory, 'restored');
    const restored = await result(comio(['restore', file], { COMIO_DATA_DIR: fresh }));
    expect(restored.code).toBe(0);
    {
      await using database = await openDatabase({ ...old, dataDir: fresh });
      const rows = await database.db.selectFrom('audit').select(['actor', 'action', 'subject']).execute();
      expect(rows).toEqual([{ actor: 'test', action: 'turn.start', subject: 'x' }]);
    }
    const again = await result(comio(['restore', file], { COMIO_DATA_DIR: fresh }));
    expect(again.code).toBe(2);
    expect(again.err).toMatch(/There is a database in .* already/);
    const usage = await result(comio(['bakcup', file]));
    expect([usage.code, usage.err]).toEqual([2, expect.stringContaining('comio restore FILE')]);
  });
});
