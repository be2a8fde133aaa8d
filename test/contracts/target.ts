import { randomBytes } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Built, Instance, InstanceSpec, Target, TargetErrorCode } from '#adapters/targets/target.ts';

/** What a target does not do, each with its reason. */
export interface TargetNotSupported {
  /** Projects with a Dockerfile, and what fails while it is built. */
  dockerfile?: string;
  python?: string;
  /** Limits, no network, no root, a read-only root. */
  isolation?: string;
}

export interface TargetWorld {
  /** May be called several times; all see the same builds and instances. */
  makeTarget: () => Target;
  /** An image with Node that a Dockerfile can name. */
  baseImage: () => Promise<string>;
}

export const tarOf = async (files: Readonly<Record<string, string>>): Promise<Buffer> => {
  const tar = pack();
  const written = buffer(tar);
  for (const [name, content] of Object.entries(files)) tar.entry({ name, mode: 0o644 }, content);
  tar.finalize();
  return await written;
};

export const uniqueKey = (): string => `test-${randomBytes(8).toString('hex')}`;

export const specFor = (built: Built, given: Partial<InstanceSpec> = {}): InstanceSpec => ({
  key: uniqueKey(),
  image: built.image,
  port: built.port,
  labels: { project: 'shop' },
  env: { GREETING: 'hello' },
  limits: { memoryMb: 128, cpus: 1, pids: 64 },
  ...given,
});

export const code = (expected: TargetErrorCode, rest: object = {}) =>
  expect.objectContaining({ name: 'TargetError', code: expected, ...rest });

/** Does what it is asked for, and tells. */
const APP = `
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { createServer } from 'node:http';
import { readFileSync, writeFileSync } from 'node:fs';
const held = [];
let waiting;
let stubborn = false;
const attempt = (work) => { try { work(); return 'done'; } catch (error) { return error.code; } };
const actions = {
  '': () => process.env.GREETING,
  say: (line) => { console.log(line); return 'said'; },
  complain: (line) => { console.error(line); return 'said'; },
  exit: (code) => setTimeout(() => process.exit(Number(code)), 10) && 'ending',
  wait: () => new Promise((resolve) => { waiting = resolve; console.log('waiting'); }),
  stubborn: () => { stubborn = true; return 'yes'; },
  identity: () => process.getuid() + ':' + process.getgid(),
  status: () => readFileSync('/proc/self/status', 'utf8'),
  write: (path) => attempt(() => writeFileSync(path, 'x')),
  eat: () => { for (;;) held.push(Buffer.alloc(16e6, 1)); },
  fork: (count) => Promise.all(Array.from({ length: Number(count) }, () => new Promise((resolve) => {
    const child = spawn('sleep', ['60']);
    child.once('error', () => resolve(0)).once('spawn', () => resolve(1));
  }))).then((made) => String(made.reduce((sum, one) => sum + one, 0))),
  connect: (address) => new Promise((resolve) => {
    const [host, port] = address.split(':');
    const socket = connect(Number(port), host);
    const done = (text) => { socket.destroy(); resolve(text); };
    socket.once('connect', () => done('connected')).once('error', (error) => done(error.code));
    socket.setTimeout(2500, () => done('timeout'));
  }),
  datagram: (address) => new Promise((resolve) => {
    const [host, port] = address.split(':');
    const socket = createSocket('udp4');
    socket.once('error', () => undefined);
    socket.send('x', Number(port), host, (error) => { socket.close(); resolve(error ? error.code : 'sent'); });
  }),
  lookup: (name) => lookup(name).then(() => 'found', (error) => error.code),
};
createServer(async (request, response) => {
  const [, name, argument] = request.url.split('/');
  try {
    response.end(String(await actions[name](decodeURIComponent(argument ?? ''))));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}).listen(Number(process.env.PORT), () => console.log('listening on ' + process.env.PORT));
process.on('SIGTERM', () => {
  if (stubborn) return;
  waiting?.('ended in order');
  setTimeout(() => process.exit(0), 100);
});
`;

export const NODE_PROJECT = {
  'package.json': JSON.stringify({ type: 'module', scripts: { start: 'node src/app.js' } }),
  'src/app.js': APP,
};

const PYTHON_APP = `
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"python {os.getuid()}".encode())
print("ready", flush=True)
http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
`;

export const ask = async ({ address }: Instance, path: string): Promise<string> => {
  const response = await fetch(`http://${address.host}:${address.port}/${path}`);
  return await response.text();
};

/** What `path` answers, once the app listens. */
export const askSoon = async (instance: Instance, path = ''): Promise<string> => {
  await vi.waitFor(() => ask(instance, ''), { timeout: 60_000 });
  return await ask(instance, path);
};

/** The behaviour of the target port. */
export function targetContract(
  name: string,
  world: TargetWorld,
  notSupported: TargetNotSupported = {},
): void {
  describe(`target ${name}`, () => {
    let target: Target;
    let built: Built;
    const started = new Set<string>();
    /** Started, and stopped at the end of the suite whatever happens. */
    const start = async (given: Partial<InstanceSpec> = {}): Promise<Instance> => {
      const spec = specFor(built, given);
      started.add(spec.key);
      return await target.start(spec);
    };
    const build = async (files: Readonly<Record<string, string>>, lines: string[] = []): Promise<Built> =>
      await target.build({
        key: uniqueKey(),
        source: await tarOf(files),
        onProgress: (line) => lines.push(line),
      });

    beforeAll(async () => {
      target = world.makeTarget();
      built = await build(NODE_PROJECT);
    });
    afterAll(async () => {
      for (const key of started) await target.stop(key, 0);
      await target[Symbol.asyncDispose]();
    });

    describe('build', () => {
      it('makes one image for one key, whatever is sent the second time', async () => {
        const key = uniqueKey();
        const first = await target.build({ key, source: await tarOf(NODE_PROJECT) });
        const second = await world.makeTarget().build({ key, source: Buffer.from('not even a tar') });
        expect(second).toEqual(first);
        expect(first).toMatchObject({ recipe: 'node', port: 3000 });
      });

      it('says what to add when it does not know how to start a project', async () => {
        await expect(build({ 'README.md': '# Notes' })).rejects.toEqual(
          code('no_recipe', { message: expect.stringContaining('Add a Dockerfile') }),
        );
        await expect(build({ 'package.json': '{}' })).rejects.toEqual(
          code('no_recipe', { message: expect.stringContaining('`start` script') }),
        );
      });

      it('installs no dependencies that nothing pins', async () => {
        const project = { dependencies: { leftpad: '1.0.0' }, scripts: { start: 'node a.js' } };
        await expect(build({ 'package.json': JSON.stringify(project) })).rejects.toEqual(
          code('no_recipe', { message: expect.stringContaining('package-lock.json') }),
        );
      });

      it('refuses what is no tar', async () => {
        const source = Buffer.alloc(1024, 'x');
        await expect(target.build({ key: uniqueKey(), source })).rejects.toEqual(code('build_failed'));
      });

      it('takes `main` where there is no start script', async () => {
        const files = { 'package.json': '{"type":"module","main":"it.js"}', 'it.js': APP };
        const instance = await start({ image: (await build(files)).image });
        expect(await askSoon(instance)).toBe('hello');
      });

      it('is not begun when it was called off before', async () => {
        const key = uniqueKey();
        const request = { key, source: await tarOf(NODE_PROJECT), signal: AbortSignal.abort() };
        await expect(target.build(request)).rejects.toThrow();
      });
    });

    describe('an instance', () => {
      it('answers HTTP at its address, with its environment', async () => {
        const labels = { project: 'shop', commit: 'abc' };
        const instance = await start({ labels });
        expect(await askSoon(instance)).toBe('hello');
        expect(instance).toMatchObject({ state: 'running', exitCode: undefined, labels });
        expect(await target.instance(instance.key)).toEqual(instance);
        expect(await target.list()).toContainEqual(instance);
        expect(await world.makeTarget().instance(instance.key)).toEqual(instance);
      });

      it('is one for one key, however often it is started and by whom', async () => {
        const spec = specFor(built);
        started.add(spec.key);
        const other = world.makeTarget();
        const [first, second] = await Promise.all([target.start(spec), other.start(spec)]);
        expect(second).toEqual(first);
        expect(await target.start(spec)).toEqual(first);
        expect((await target.list()).filter(({ key }) => key === spec.key)).toEqual([first]);
        expect(await askSoon(first)).toBe('hello');
      });

      it('that ended shows its exit code and what it said, and starts again by its key once it was stopped', async () => {
        const instance = await start();
        await askSoon(instance, 'say/farewell');
        await ask(instance, 'exit/7');
        await expect.poll(async () => (await target.instance(instance.key))?.state).toBe('exited');
        const ended = await target.instance(instance.key);
        expect(ended).toMatchObject({ id: instance.id, exitCode: 7 });
        expect(await target.logs(instance.key, { lines: 10 })).toContain('farewell');
        const spec = specFor(built, { key: instance.key });
        expect(await target.start(spec)).toEqual(ended);
        await target.stop(instance.key, 0);
        const again = await target.start(spec);
        expect(again).toMatchObject({ state: 'running', key: instance.key });
        expect(await askSoon(again)).toBe('hello');
      });

      it('cannot be started from an image that is not there', async () => {
        const spec = specFor(built, { image: `sha256:${'0'.repeat(64)}` });
        await expect(target.start(spec)).rejects.toEqual(code('start_failed'));
        expect(await target.instance(spec.key)).toBeUndefined();
        expect((await target.list()).filter(({ key }) => key === spec.key)).toEqual([]);
      });

      it('that never was is undefined, has no logs, and is stopped already', async () => {
        expect(await target.instance('nobody')).toBeUndefined();
        expect(await target.logs('nobody', { lines: 5 })).toEqual([]);
        await target.stop('nobody', 0);
      });
    });

    describe('logs', () => {
      it('are stdout and stderr, the newest lines, oldest first', async () => {
        const instance = await start();
        await askSoon(instance, 'say/one');
        await ask(instance, 'complain/two');
        await ask(instance, 'say/three');
        await expect
          .poll(() => target.logs(instance.key, { lines: 100 }))
          .toEqual([`listening on ${await portInside(instance)}`, 'one', 'two', 'three']);
        expect(await target.logs(instance.key, { lines: 2 })).toEqual(['two', 'three']);
      });

      it('are only those after `since`', async () => {
        const instance = await start();
        await askSoon(instance, 'say/before');
        await expect.poll(() => target.logs(instance.key, { lines: 9 })).toContain('before');
        await delay(5);
        const since = new Date();
        expect(await target.logs(instance.key, { lines: 9, since })).toEqual([]);
        await ask(instance, 'say/after');
        await expect.poll(() => target.logs(instance.key, { lines: 9, since })).toEqual(['after']);
      });

      it('are only those before `until`, however many came after', async () => {
        const instance = await start();
        await askSoon(instance, 'say/before');
        await expect.poll(() => target.logs(instance.key, { lines: 9 })).toContain('before');
        await delay(5);
        const until = new Date();
        for (let n = 0; n < 5; n += 1) await ask(instance, `say/after%20${n}`);
        await expect.poll(() => target.logs(instance.key, { lines: 9 })).toContain('after 4');
        expect(await target.logs(instance.key, { lines: 1, until })).toEqual(['before']);
        expect(await target.logs(instance.key, { lines: 9, since: until, until })).toEqual([]);
        expect(await target.logs(instance.key, { lines: 9, since: until })).toHaveLength(5);
      });

      it('are bounded, whatever an app prints', async () => {
        const instance = await start();
        await askSoon(instance, `say/${'x'.repeat(10_000)}`);
        await expect.poll(async () => (await target.logs(instance.key, { lines: 1 }))[0]?.length).toBe(4001);
      });

      const portInside = async ({ address }: Instance): Promise<number> =>
        notSupported.isolation === undefined ? built.port : address.port;
    });

    describe('stop', () => {
      it('lets an app end in order, then it is gone', async () => {
        const instance = await start();
        await askSoon(instance);
        const waiting = ask(instance, 'wait');
        await expect.poll(() => target.logs(instance.key, { lines: 5 })).toContain('waiting');
        await target.stop(instance.key, 30_000);
        expect(await waiting).toBe('ended in order');
        expect(await target.instance(instance.key)).toBeUndefined();
        expect((await target.list()).map(({ key }) => key)).not.toContain(instance.key);
        await target.stop(instance.key, 30_000);
      });

      it('kills one that does not end', async () => {
        const instance = await start();
        await askSoon(instance, 'stubborn');
        await target.stop(instance.key, 1000);
        const { host, port } = instance.address;
        await expect(
          fetch(`http://${host}:${port}`, { signal: AbortSignal.timeout(1000) }),
        ).rejects.toThrow();
        expect(await target.instance(instance.key)).toBeUndefined();
      });

      it('makes room for another start of the key', async () => {
        const instance = await start();
        await target.stop(instance.key, 0);
        const again = await start({ key: instance.key, env: { GREETING: 'again' } });
        expect(await askSoon(again)).toBe('again');
      });
    });

    if (notSupported.python === undefined) {
      describe('Python', () => {
        it.each([
          ['a script', { 'main.py': PYTHON_APP, 'requirements.txt': '# nothing\n' }],
          [
            'a package',
            { 'shop/__init__.py': '', 'shop/__main__.py': PYTHON_APP, 'pyproject.toml': '[project]\n' },
          ],
        ])('runs %s, not as root', async (_, files) => {
          const python = await build(files);
          expect(python).toMatchObject({ recipe: 'python', port: 3000 });
          expect(await askSoon(await start({ image: python.image }))).toBe('python 10001');
        });
      });
    }

    if (notSupported.dockerfile === undefined) {
      describe('a Dockerfile of the project', () => {
        it('is taken, with its port, and its steps are told', async () => {
          const lines: string[] = [];
          const own = await build(
            {
              ...NODE_PROJECT,
              Dockerfile: `FROM ${await world.baseImage()}\nENTRYPOINT []\nWORKDIR /srv\nENV PORT=8123\nCOPY . .\nEXPOSE 9000 8123\nCMD ["node", "src/app.js"]\n`,
            },
            lines,
          );
          expect(own).toMatchObject({ recipe: 'Dockerfile', port: 8123 });
          expect(lines).toContain('Step 5 of 7: COPY . .');
          const instance = await start({ image: own.image, port: own.port });
          expect(instance.address.port).toBe(8123);
          expect(await askSoon(instance)).toBe('hello');
        });

        it('that fails shows the step and the end of its output', async () => {
          const Dockerfile = `FROM ${await world.baseImage()}\nRUN echo the reason is here && exit 3\n`;
          await expect(build({ Dockerfile })).rejects.toEqual(
            code('build_failed', {
              message: expect.stringMatching(/at step 2 of 2: RUN echo.*returned a non-zero code: 3/),
              detail: expect.stringContaining('the reason is here'),
            }),
          );
        });

        it('whose base image cannot be had says which', async () => {
          const Dockerfile = 'FROM localhost:1/nobody/nothing:1\n';
          await expect(build({ Dockerfile })).rejects.toEqual(
            code('build_failed', { message: expect.stringContaining('localhost:1/nobody/nothing:1') }),
          );
        });

        it('that is none is a failed build', async () => {
          await expect(build({ Dockerfile: 'HELLO world\n' })).rejects.toEqual(code('build_failed'));
        });

        it('that names a program which is not there does not run', async () => {
          const Dockerfile = `FROM ${await world.baseImage()}\nENTRYPOINT ["/no/such/program"]\n`;
          const spec = specFor(await build({ Dockerfile }));
          started.add(spec.key);
          // By the init inside, which the daemon started well; or by the daemon.
          const [outcome] = await Promise.allSettled([target.start(spec)]);
          if (outcome.status === 'rejected') expect(outcome.reason).toEqual(code('start_failed'));
          else await expect.poll(async () => (await target.instance(spec.key))?.exitCode).toBe(127);
        });
      });
    }

    if (notSupported.isolation === undefined) {
      describe('an instance is isolated', () => {
        let instance: Instance;
        beforeAll(async () => {
          instance = await start();
          await askSoon(instance);
        });

        it('runs as nobody special, with no capabilities', async () => {
          expect(await ask(instance, 'identity')).toBe('10001:10001');
          const status = await ask(instance, 'status');
          for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
            expect(status).toContain(`${set}:\t0000000000000000\n`);
          }
          expect(status).toContain('NoNewPrivs:\t1\n');
          expect(status).toContain('Seccomp:\t2\n');
        });

        it('writes to /tmp alone', async () => {
          expect(await ask(instance, `write/${encodeURIComponent('/tmp/x')}`)).toBe('done');
          for (const path of ['/app/x', '/etc/passwd', '/x']) {
            expect(await ask(instance, `write/${encodeURIComponent(path)}`), path).toMatch(/EROFS|EACCES/);
          }
        });

        it('is killed when it takes more memory than it may', async () => {
          const hungry = await start();
          await askSoon(hungry);
          await expect(ask(hungry, 'eat')).rejects.toThrow();
          await expect.poll(async () => (await target.instance(hungry.key))?.exitCode).toBe(137);
        });

        it('has no more processes than it may', async () => {
          const crowd = await start({ limits: { memoryMb: 128, cpus: 1, pids: 32 } });
          await askSoon(crowd);
          const made = Number(await ask(crowd, 'fork/60'));
          expect(made).toBeGreaterThan(0);
          expect(made).toBeLessThan(32);
        });

        it('reaches itself', async () => {
          expect(await ask(instance, `connect/127.0.0.1:${built.port}`)).toBe('connected');
        });

        it('reaches no other instance', async () => {
          const { address } = await start();
          await expect.poll(() => isReached(address.host, address.port)).toBe(true);
          expect(await ask(instance, `connect/${address.host}:${address.port}`)).not.toBe('connected');
        });

        it('reaches no address of the host', async () => {
          const hosts = Object.values(networkInterfaces())
            .flatMap((addresses = []) => addresses)
            .filter(({ family, internal }) => family === 'IPv4' && !internal)
            .map(({ address }) => address);
          const subnet = instance.address.host.split('.').slice(0, 2).join('.');
          // Its own bridge among them, else this would show nothing.
          expect(hosts.filter((host) => host.startsWith(`${subnet}.`))).not.toEqual([]);
          for (const host of hosts) {
            await using server = await listen(host);
            expect(await isReached(host, server.port), host).toBe(true);
            expect(await ask(instance, `connect/${host}:${server.port}`), host).not.toBe('connected');
            expect(await ask(instance, `datagram/${host}:${server.port}`), host).not.toBe('sent');
          }
        });

        it('resolves no names', async () => {
          expect(await ask(instance, 'lookup/example.com')).not.toBe('found');
        });
      });
    }
  });
}

const isReached = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, host);
    const done = (reached: boolean) => {
      socket.destroy();
      resolve(reached);
    };
    socket.once('connect', () => done(true)).once('error', () => done(false));
  });

async function listen(host: string): Promise<AsyncDisposable & { port: number }> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, () => resolve());
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error(`No port on ${host}`);
  return {
    port: address.port,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
