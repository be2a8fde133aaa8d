import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type ExecOptions,
  MAX_FILE_BYTES,
  type Sandbox,
  type SandboxDriver,
  type SandboxErrorCode,
  type SandboxSpec,
} from '#sandbox/sandbox.ts';

/** What a driver does not do, each with its reason. The suite then asserts that it says so in `supports`. */
export interface NotSupported {
  isolation?: string;
  network?: string;
  limits?: string;
  /** ripgrep's own syntax where it differs from Perl's. */
  ripgrepSyntax?: string;
  /** Joining a command that another instance of the driver started. */
  joinElsewhere?: string;
}

export const specFor = (key: string): SandboxSpec => ({
  key,
  limits: { memoryMb: 512, cpus: 2, pids: 128 },
  network: 'none',
});

export const uniqueKey = (): string => `test-${randomBytes(8).toString('hex')}`;

const code = (expected: SandboxErrorCode) =>
  expect.objectContaining({ name: 'SandboxError', code: expected });

/** The behaviour of the sandbox port. `makeDriver` may be called several times; all see the same sandboxes. */
export function sandboxContract(
  name: string,
  makeDriver: () => Promise<SandboxDriver>,
  notSupported: NotSupported = {},
): void {
  describe(`sandbox driver ${name}`, () => {
    let driver: SandboxDriver;
    let sandbox: Sandbox;
    beforeAll(async () => {
      driver = await makeDriver();
      sandbox = await driver.create(specFor(uniqueKey()));
    });
    afterAll(async () => {
      await sandbox?.destroy();
      await driver?.[Symbol.asyncDispose]();
    });
    /** Every test starts from an empty workspace. */
    beforeEach(async () => {
      await sandbox.start();
      await sandbox.exec('find . -mindepth 1 -delete');
    });

    it('says what it supports', () => {
      for (const capability of ['isolation', 'network', 'limits'] as const) {
        expect(driver.supports[capability], capability).toBe(notSupported[capability] === undefined);
      }
    });

    describe('life cycle', () => {
      it('gives one sandbox for one key, also to two that ask at once', async () => {
        const key = uniqueKey();
        const [first, second] = await Promise.all([driver.create(specFor(key)), driver.create(specFor(key))]);
        try {
          expect(first.id).toBe(second.id);
          await first.files.write('a.txt', 'from the first');
          expect((await second.files.read('a.txt')).toString()).toBe('from the first');
          const listed = (await driver.list()).filter((info) => info.key === key);
          expect(listed).toEqual([{ id: first.id, key, state: 'running' }]);
        } finally {
          await first.destroy();
        }
      });

      it('opens by id, and knows nothing of an id that never was', async () => {
        const opened = await driver.open(sandbox.id);
        expect(opened?.key).toBe(sandbox.key);
        expect(await driver.open('0123456789abcdef01234567')).toBeUndefined();
      });

      it('keeps files over stop and start, and refuses work while stopped', async () => {
        await sandbox.files.write('kept.txt', 'kept');
        await sandbox.stop();
        expect(await sandbox.state()).toBe('stopped');
        await sandbox.stop();
        await expect(sandbox.exec('true')).rejects.toEqual(code('not_running'));
        await expect(sandbox.files.read('kept.txt')).rejects.toEqual(code('not_running'));
        await expect(sandbox.pipe(['true'])).rejects.toEqual(code('not_running'));
        await sandbox.start();
        await sandbox.start();
        expect(await sandbox.state()).toBe('running');
        expect((await sandbox.files.read('kept.txt')).toString()).toBe('kept');
      });

      it('starts a stopped sandbox when it is created again', async () => {
        await sandbox.files.write('kept.txt', 'kept');
        await sandbox.stop();
        const again = await driver.create(specFor(sandbox.key));
        expect(await again.state()).toBe('running');
        expect((await sandbox.files.read('kept.txt')).toString()).toBe('kept');
      });

      it('destroys with everything in it, twice without complaint', async () => {
        const key = uniqueKey();
        const doomed = await driver.create(specFor(key));
        await doomed.files.write('a.txt', 'a');
        await doomed.destroy();
        await doomed.destroy();
        expect(await driver.open(doomed.id)).toBeUndefined();
        expect((await driver.list()).map((info) => info.key)).not.toContain(key);
        await expect(doomed.exec('true')).rejects.toEqual(code('not_running'));
        const fresh = await driver.create(specFor(key));
        expect((await fresh.files.list('.')).entries).toEqual([]);
        await fresh.destroy();
      });
    });

    describe('exec', () => {
      const run = (command: string, options?: ExecOptions) => sandbox.exec(command, options);

      it('returns exit code and output, stderr in its place', async () => {
        const result = await run('echo one; echo two >&2; echo three; exit 3');
        expect(result).toMatchObject({
          exitCode: 3,
          ended: 'exit',
          output: 'one\ntwo\nthree\n',
          cutBytes: 0,
        });
      });

      it('lets commands open their own output by name', async () => {
        const result = await run('echo a > /dev/stderr; echo b | tee /dev/stderr');
        expect(result).toMatchObject({ exitCode: 0, output: 'a\nb\nb\n' });
      });

      it('reports a process ended by a signal as 128 + its number', async () => {
        expect(await run('kill -TERM $$')).toMatchObject({ exitCode: 143, ended: 'exit' });
      });

      it('works in the given directory of the workspace and in no other', async () => {
        await sandbox.files.write('sub/file', '');
        expect((await run('ls', { cwd: 'sub' })).output).toBe('file\n');
        await expect(run('ls', { cwd: '..' })).rejects.toEqual(code('outside_workspace'));
        await expect(run('ls', { cwd: 'missing' })).rejects.toEqual(code('not_found'));
        await expect(run('ls', { cwd: 'sub/file' })).rejects.toEqual(code('not_a_file'));
      });

      it('passes an environment of its own and nothing of ours', async () => {
        const marker = `CANARY_${randomBytes(4).toString('hex')}`;
        process.env[marker] = 'leaked';
        try {
          const { output } = await run('env', { env: { GIVEN: 'a b' } });
          expect(output).toContain('GIVEN=a b\n');
          expect(output).not.toContain(marker);
        } finally {
          delete process.env[marker];
        }
      });

      it('streams output as it comes', async () => {
        const seen: string[] = [];
        const first = Promise.withResolvers<void>();
        const running = run('echo début; while [ ! -e go ]; do sleep 0.02; done; echo end', {
          onOutput: (text) => {
            seen.push(text);
            first.resolve();
          },
        });
        await first.promise;
        expect(seen.join('')).toBe('début\n');
        await sandbox.files.write('go', '');
        await running;
        expect(seen.join('')).toBe('début\nend\n');
      });

      it('shortens long output in the middle and says by how much', async () => {
        const whole = `${Array.from({ length: 5000 }, (_, index) => `line ${index} é🙂`).join('\n')}\n`;
        await sandbox.files.write('long.txt', whole);
        const result = await run('cat long.txt', { maxOutputBytes: 1001 });
        const [head = '', tail = ''] = result.output.split(`\n[… ${result.cutBytes} bytes cut …]\n`);
        expect(whole.startsWith(head)).toBe(true);
        expect(whole.endsWith(tail)).toBe(true);
        expect(Buffer.byteLength(head) + Buffer.byteLength(tail) + result.cutBytes).toBe(
          Buffer.byteLength(whole),
        );
        expect(Buffer.byteLength(head)).toBeGreaterThan(495);
        expect(Buffer.byteLength(tail)).toBeGreaterThan(495);
        expect(result.output).not.toContain('\uFFFD');
      });

      it('replaces bytes that are not UTF-8', async () => {
        expect((await run("printf 'a\\377b'")).output).toBe('a\uFFFDb');
      });

      it('kills the whole tree at the time limit, and keeps the output so far', async () => {
        const result = await run(
          'echo before; (sleep 300; echo x > late) & setsid sh -c "sleep 300" & setsid -f sleep 300; sleep 300',
          { timeoutMs: 500 },
        );
        expect(result).toMatchObject({ exitCode: null, ended: 'timeout', output: 'before\n' });
        await expect(processesOf(sandbox, 'sleep 300')).resolves.toBe(0);
      });

      it('kills the whole tree on abort', async () => {
        const controller = new AbortController();
        const result = await run('setsid -f sleep 301; echo ready; sleep 301', {
          signal: controller.signal,
          onOutput: () => controller.abort(),
        });
        expect(result).toMatchObject({ exitCode: null, ended: 'aborted', output: 'ready\n' });
        await expect(processesOf(sandbox, 'sleep 301')).resolves.toBe(0);
      });

      it('runs nothing for a signal that was aborted before', async () => {
        const result = await run('touch ran', { signal: AbortSignal.abort() });
        expect(result).toMatchObject({ exitCode: null, ended: 'aborted' });
        expect((await sandbox.files.list('.')).entries).toEqual([]);
      });

      it('returns when the command ends, not when its background processes do, and leaves those alone', async () => {
        const result = await run(
          '(while [ ! -e stop ]; do echo tick; sleep 0.05; done; echo > stopped) & echo x',
        );
        expect(result.ended).toBe('exit');
        await sandbox.files.write('stop', '');
        const waited = await run('until [ -e stopped ]; do sleep 0.02; done', { timeoutMs: 20_000 });
        expect(waited.ended).toBe('exit');
      });

      it('has no input to wait for', async () => {
        expect(await run('cat; echo done')).toMatchObject({ exitCode: 0, output: 'done\n' });
      });

      it('runs commands side by side', async () => {
        const results = await Promise.all(Array.from({ length: 20 }, (_, index) => run(`echo ${index}`)));
        expect(results.map((result) => result.output)).toEqual(
          Array.from({ length: 20 }, (_, index) => `${index}\n`),
        );
      });
    });

    describe('exec with a key', () => {
      it('runs once and tells the same again', async () => {
        const key = uniqueKey();
        const command = 'echo ran >> log; echo out; exit 4';
        const first = await sandbox.exec(command, { key });
        const second = await sandbox.exec(command, { key });
        expect(first).toMatchObject({ exitCode: 4, ended: 'exit', output: 'out\n' });
        expect(second).toEqual(first);
        expect((await sandbox.files.read('log')).toString()).toBe('ran\n');
      });

      it('joins a command that still runs, output from its start', async () => {
        const key = uniqueKey();
        const command = 'echo ran >> log; echo start; until [ -e go ]; do sleep 0.02; done; echo end';
        const started = Promise.withResolvers<void>();
        const first = sandbox.exec(command, { key, onOutput: () => started.resolve() });
        await started.promise;
        await using other = await makeDriver();
        const same = await (notSupported.joinElsewhere ? driver : other).open(sandbox.id);
        let text = '';
        const joined = Promise.withResolvers<void>();
        const second = same?.exec(command, {
          key,
          onOutput: (more) => {
            text += more;
            joined.resolve();
          },
        });
        await joined.promise;
        await sandbox.files.write('go', '');
        expect(await second).toEqual(await first);
        expect(text).toBe('start\nend\n');
        expect((await sandbox.files.read('log')).toString()).toBe('ran\n');
      });

      it('kills a command with a key on abort, for good', async () => {
        const key = uniqueKey();
        const controller = new AbortController();
        const command = 'echo ran >> log; echo up; sleep 302';
        const result = await sandbox.exec(command, {
          key,
          signal: controller.signal,
          onOutput: () => controller.abort(),
        });
        expect(result.ended).toBe('aborted');
        expect((await sandbox.exec(command, { key })).ended).toBe('aborted');
        expect((await sandbox.files.read('log')).toString()).toBe('ran\n');
        await expect(processesOf(sandbox, 'sleep 302')).resolves.toBe(0);
      });

      it('calls a command lost that a stop ended, and runs it no second time', async () => {
        const key = uniqueKey();
        const command = 'echo ran >> log; echo up; sleep 303';
        const up = Promise.withResolvers<void>();
        const running = sandbox.exec(command, { key, onOutput: () => up.resolve() });
        await up.promise;
        await sandbox.stop();
        expect(await running).toMatchObject({ exitCode: null, ended: 'lost' });
        await sandbox.start();
        expect(await sandbox.exec(command, { key })).toMatchObject({ exitCode: null, ended: 'lost' });
        expect((await sandbox.files.read('log')).toString()).toBe('ran\n');
        await expect(processesOf(sandbox, 'sleep 303')).resolves.toBe(0);
      });

      it('remembers what ended before a stop', async () => {
        const key = uniqueKey();
        const first = await sandbox.exec('echo ran >> log; echo out', { key });
        await sandbox.stop();
        await sandbox.start();
        expect(await sandbox.exec('echo ran >> log; echo out', { key })).toEqual(first);
        expect((await sandbox.files.read('log')).toString()).toBe('ran\n');
      });
    });

    describe('pipe', () => {
      it('carries bytes both ways, and an argument vector without a shell', async () => {
        const bytes = randomBytes(3_000_000);
        const result = await sandbox.pipe(['cat'], { stdin: bytes });
        expect(result.exitCode).toBe(0);
        expect(result.stdout.equals(bytes)).toBe(true);
        expect((await sandbox.pipe(['printf', '%s', '$HOME "x"'])).stdout.toString()).toBe('$HOME "x"');
      });

      it('returns exit code and stderr', async () => {
        const result = await sandbox.pipe(['sh', '-c', 'echo no >&2; exit 5']);
        expect(result).toMatchObject({ exitCode: 5, stderr: 'no\n' });
      });

      it('bears a program that does not read its input', async () => {
        const result = await sandbox.pipe(['true'], { stdin: randomBytes(1_000_000) });
        expect(result.exitCode).toBe(0);
      });

      it('takes no more than it was told to, and ends what prints on', async () => {
        const endless = sandbox.pipe(['yes', 'on and on'], { maxBytes: 1_000_000 });
        await expect(endless).rejects.toEqual(code('too_large'));
        await expect.poll(() => processesOf(sandbox, 'yes on and on')).toBe(0);
        const just = await sandbox.pipe(['head', '-c', '1000', '/dev/zero'], { maxBytes: 1000 });
        expect(just.stdout).toHaveLength(1000);
      });

      it('says when there is no such program', async () => {
        await expect(sandbox.pipe(['no-such-program'])).rejects.toEqual(code('io_failed'));
      });

      it('rejects with the reason of the abort', async () => {
        const controller = new AbortController();
        const reason = new Error('enough');
        const running = sandbox.pipe(['sleep', '304'], { signal: controller.signal });
        controller.abort(reason);
        await expect(running).rejects.toBe(reason);
        await expect(processesOf(sandbox, 'sleep 304')).resolves.toBe(0);
      });
    });

    describe('files', () => {
      it('writes and reads bytes, making directories', async () => {
        const bytes = randomBytes(5000);
        await sandbox.files.write('a/b/c.bin', bytes);
        expect((await sandbox.files.read('a/b/c.bin')).equals(bytes)).toBe(true);
        expect((await sandbox.files.read('./a/../a/b/c.bin')).equals(bytes)).toBe(true);
        await sandbox.files.write('empty', '');
        expect((await sandbox.files.read('empty')).length).toBe(0);
      });

      it('takes an absolute path inside the workspace', async () => {
        const root = (await sandbox.exec('pwd')).output.trim();
        await sandbox.files.write(`${root}/x.txt`, 'x');
        expect((await sandbox.files.read('x.txt')).toString()).toBe('x');
      });

      it('keeps the mode of a file it replaces, and leaves nothing beside it', async () => {
        await sandbox.exec('echo old > run.sh; chmod 750 run.sh');
        await sandbox.files.write('run.sh', 'new');
        expect((await sandbox.exec('stat -c %a run.sh; ls -A')).output).toBe('750\nrun.sh\n');
      });

      it.each(['../x', 'a/../../x', '/etc/passwd', '/', '/workspace-other/x', 'a\0b'])(
        'refuses the path %j',
        async (path) => {
          await expect(sandbox.files.read(path)).rejects.toEqual(code('outside_workspace'));
          await expect(sandbox.files.write(path, 'x')).rejects.toEqual(code('outside_workspace'));
          await expect(sandbox.files.remove(path)).rejects.toEqual(code('outside_workspace'));
          await expect(sandbox.files.makeDirectory(path)).rejects.toEqual(code('outside_workspace'));
          await expect(sandbox.files.list(path)).rejects.toEqual(code('outside_workspace'));
          await expect(sandbox.files.search({ pattern: 'x', path })).rejects.toEqual(
            code('outside_workspace'),
          );
        },
      );

      it('does not follow links out of the workspace', async () => {
        await sandbox.exec(
          'ln -s /etc/passwd file; ln -s /etc dir; ln -s ../.. up; ln -s dir chain; ln -s /tmp/new-file dangling',
        );
        for (const path of ['file', 'dir/passwd', 'up/etc/passwd', 'chain/passwd', 'dangling']) {
          await expect(sandbox.files.read(path), path).rejects.toEqual(code('outside_workspace'));
          await expect(sandbox.files.write(path, 'x'), path).rejects.toEqual(code('outside_workspace'));
        }
        await expect(sandbox.files.list('dir')).rejects.toEqual(code('outside_workspace'));
        await expect(sandbox.files.search({ pattern: 'root', path: 'dir' })).rejects.toEqual(
          code('outside_workspace'),
        );
        await expect(sandbox.files.remove('dir/passwd')).rejects.toEqual(code('outside_workspace'));
        await expect(sandbox.exec('ls', { cwd: 'dir' })).rejects.toEqual(code('outside_workspace'));
        expect((await sandbox.files.search({ pattern: 'root:' })).matches).toEqual([]);
        await sandbox.files.remove('dir');
        expect((await sandbox.exec('test -e /etc/passwd && ls')).output).toBe('chain\ndangling\nfile\nup\n');
      });

      it('follows links that stay inside, and ends on loops', async () => {
        await sandbox.exec('mkdir real; ln -s real link; ln -s loop loop; ln -s "$PWD/real" absolute');
        await sandbox.files.write('link/a.txt', 'a');
        expect((await sandbox.files.read('absolute/a.txt')).toString()).toBe('a');
        expect((await sandbox.exec('ls real')).output).toBe('a.txt\n');
        await expect(sandbox.files.read('loop')).rejects.toEqual(code('not_a_file'));
      });

      it('refuses files past the size limit, both ways', async () => {
        await expect(sandbox.files.write('big', Buffer.alloc(MAX_FILE_BYTES + 1))).rejects.toEqual(
          code('too_large'),
        );
        await sandbox.files.write('fits', Buffer.alloc(MAX_FILE_BYTES));
        expect((await sandbox.files.read('fits')).length).toBe(MAX_FILE_BYTES);
        await sandbox.exec('echo >> fits');
        await expect(sandbox.files.read('fits')).rejects.toEqual(code('too_large'));
      });

      it('tells what is missing from what is no file', async () => {
        await sandbox.exec('mkdir dir; mkfifo fifo; echo > file');
        await expect(sandbox.files.read('missing')).rejects.toEqual(code('not_found'));
        await expect(sandbox.files.remove('missing')).rejects.toEqual(code('not_found'));
        await expect(sandbox.files.list('missing')).rejects.toEqual(code('not_found'));
        await expect(sandbox.files.read('dir')).rejects.toEqual(code('not_a_file'));
        await expect(sandbox.files.read('fifo')).rejects.toEqual(code('not_a_file'));
        await expect(sandbox.files.write('dir', '')).rejects.toEqual(code('not_a_file'));
        await expect(sandbox.files.write('file/below', '')).rejects.toEqual(code('not_a_file'));
        await expect(sandbox.files.list('file')).rejects.toEqual(code('not_a_file'));
      });

      it('removes a directory with all in it, and never the workspace', async () => {
        await sandbox.files.write('a/b/c', '');
        await sandbox.files.remove('a');
        expect((await sandbox.files.list('.')).entries).toEqual([]);
        await expect(sandbox.files.remove('.')).rejects.toEqual(code('outside_workspace'));
      });

      it('makes directories, again too', async () => {
        await sandbox.files.makeDirectory('x/y');
        await sandbox.files.makeDirectory('x/y');
        expect((await sandbox.files.list('x')).entries).toEqual([
          { path: 'x/y', type: 'directory', size: 0 },
        ]);
      });

      it('lists to a depth, sorted, hidden files but not .git', async () => {
        await sandbox.exec(
          'git init -q; mkdir -p b/c/d; echo 12345 > b/c/f; echo > .env; ln -s b l; echo > a',
        );
        expect(await sandbox.files.list('.')).toEqual({
          entries: [
            { path: '.env', type: 'file', size: 1 },
            { path: 'a', type: 'file', size: 1 },
            { path: 'b', type: 'directory', size: 0 },
            { path: 'l', type: 'symlink', size: 0 },
          ],
          more: false,
        });
        const deep = await sandbox.files.list('b', { depth: 2 });
        expect(deep.entries.map((entry) => entry.path)).toEqual(['b/c', 'b/c/d', 'b/c/f']);
        expect(await sandbox.files.list('.', { maxEntries: 2 })).toMatchObject({
          entries: [{ path: '.env' }, { path: 'a' }],
          more: true,
        });
      });

      it('searches hidden files, but neither .git nor what .gitignore names nor binary files', async () => {
        await sandbox.exec('git init -q; mkdir sub; echo needle > .git/x; printf "needle\\0" > binary');
        await sandbox.files.write('.gitignore', 'ignored/\n');
        await sandbox.files.write('ignored/a.txt', 'needle');
        await sandbox.files.write('.hidden', 'needle');
        await sandbox.files.write('sub/a.ts', 'one\nthe Needle é\nneedle two\n');
        const found = await sandbox.files.search({ pattern: 'needle' });
        expect(found).toEqual({
          matches: [
            { path: '.hidden', line: 1, text: 'needle' },
            { path: 'sub/a.ts', line: 3, text: 'needle two' },
          ],
          more: false,
        });
        const typed = await sandbox.files.search({ pattern: 'n[a-z]+le\\b', glob: '*.ts', ignoreCase: true });
        expect(typed.matches.map((match) => match.text)).toEqual(['the Needle é', 'needle two']);
        const under = await sandbox.files.search({ pattern: 'needle', path: 'sub' });
        expect(under.matches.map((match) => match.path)).toEqual(['sub/a.ts']);
        expect((await sandbox.files.search({ pattern: 'nowhere' })).matches).toEqual([]);
      });

      it('stops searching at the wanted number of matches', async () => {
        await sandbox.exec('seq 1 5000 > numbers');
        const found = await sandbox.files.search({ pattern: '1', maxMatches: 3 });
        expect(found.matches.map((match) => match.text)).toEqual(['1', '10', '11']);
        expect(found.more).toBe(true);
      });

      it('names a bad pattern', async () => {
        await sandbox.files.write('a', 'a');
        await expect(sandbox.files.search({ pattern: '(' })).rejects.toEqual(code('bad_pattern'));
        await expect(sandbox.files.search({ pattern: 'a', path: 'missing' })).rejects.toEqual(
          code('not_found'),
        );
        expect((await sandbox.files.search({ pattern: '--help' })).matches).toEqual([]);
      });

      if (notSupported.ripgrepSyntax === undefined) {
        it("understands ripgrep's own syntax", async () => {
          await sandbox.files.write('a', 'naïve');
          const found = await sandbox.files.search({ pattern: '^[\\p{Alphabetic}--a-m]' });
          expect(found.matches).toHaveLength(1);
        });
      }
    });
  });
}

/** How many processes of exactly this command line live in the sandbox. */
async function processesOf(sandbox: Sandbox, commandLine: string): Promise<number> {
  const script = `
    const { readdirSync, readFileSync } = require('node:fs');
    const read = (path) => { try { return readFileSync(path, 'latin1'); } catch { return ''; } };
    const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name));
    const live = pids.filter((pid) => read('/proc/' + pid + '/cmdline') === process.argv[1].replaceAll(' ', '\\0') + '\\0');
    console.log(live.filter((pid) => read('/proc/' + pid + '/environ').includes(process.env.COMIO_SANDBOX ?? '')).length);`;
  const result = await sandbox.pipe(['node', '-e', script, commandLine]);
  expect(result.exitCode, result.stderr).toBe(0);
  return Number(result.stdout.toString());
}
