import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sandbox, SandboxDriver } from '#sandbox/sandbox.ts';
import { uniqueKey } from '#test/contracts/sandbox.ts';
import { dockerClient, dockerDriver } from '#test/support/docker.ts';
import { scanForSecrets } from '#test/support/secret-scan.ts';

const limits = { memoryMb: 256, cpus: 1, pids: 64 };
let driver: SandboxDriver;
let sandbox: Sandbox;

beforeAll(async () => {
  driver = dockerDriver();
  sandbox = await driver.create({ key: uniqueKey(), limits, network: 'none' });
});
afterAll(async () => {
  await sandbox?.destroy();
  await driver?.[Symbol.asyncDispose]();
});

const sh = async (command: string): Promise<string> => (await sandbox.exec(command)).output.trim();

describe('a process in a sandbox', () => {
  it('is not root and has no way to become it', async () => {
    expect(await sh('id -u; id -g; id -G')).toBe('10001\n10001\n10001');
    const status = await sh('cat /proc/self/status');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      expect(status).toMatch(new RegExp(`^${set}:\\s+0000000000000000$`, 'm'));
    }
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(status).toMatch(/^Seccomp:\s+2$/m);
    expect(
      (await sandbox.exec('su -c id </dev/null || mount -t tmpfs x /mnt || unshare -r true')).exitCode,
    ).not.toBe(0);
  });

  it('writes to the workspace, its home and temporary directories, and nowhere else', async () => {
    expect(await sh('touch /workspace/a /tmp/a ~/a && echo fine')).toBe('fine');
    const writable = await sh(
      'find / -xdev -type d -writable 2>/dev/null; find / -xdev -type f -writable 2>/dev/null',
    );
    // Where something is mounted, and below that -xdev does not look.
    expect(writable.split('\n').sort()).toEqual([
      '/home/comio',
      '/run/comio',
      '/tmp',
      '/var/comio',
      '/workspace',
    ]);
    for (const path of [
      '/etc/passwd',
      '/usr/local/bin/node',
      '/usr/local/lib/comio/sandbox/agent/main.js',
      '/x',
    ]) {
      expect((await sandbox.exec(`echo x >> ${path}`)).exitCode, path).not.toBe(0);
    }
  });

  it('cannot write to the kernel’s settings or see the host’s devices', async () => {
    expect((await sandbox.exec('echo 1 > /proc/sys/kernel/panic')).exitCode).not.toBe(0);
    expect((await sandbox.exec('echo b > /proc/sysrq-trigger')).exitCode).not.toBe(0);
    expect((await sandbox.exec('ls /var/run/docker.sock /run/docker.sock')).exitCode).not.toBe(0);
    expect(await sh('find /dev -type b')).toBe('');
    expect((await sandbox.exec('mknod /tmp/sda b 8 0')).exitCode).not.toBe(0);
  });

  it('has no network but its own loopback', async () => {
    expect(await sh('ls /sys/class/net')).toBe('lo');
    const server = createServer((_request, response) => response.end('reached')).listen(0, '0.0.0.0');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const addresses = Object.values(networkInterfaces())
        .flat()
        .filter((address) => address?.family === 'IPv4')
        .map((address) => address?.address);
      expect((await fetch(`http://127.0.0.1:${port}`)).status).toBe(200);
      for (const address of [...addresses, '172.17.0.1', '169.254.169.254']) {
        const tried = await sandbox.exec(`curl -s -m 3 http://${address}:${port}`);
        expect(tried.output, address).not.toContain('reached');
        expect(tried.exitCode, address).not.toBe(0);
      }
    } finally {
      server.close();
    }
  });

  it('dies of too much memory, and the sandbox lives on', async () => {
    const result = await sandbox.exec(`python3 -c "x = bytearray(${2 * limits.memoryMb} * 1024 * 1024)"`);
    expect(result.exitCode).not.toBe(0);
    const node = await sandbox.exec(`node -e "a=[];for(;;)a.push(Buffer.alloc(1e7,1))"`);
    expect(node.ended).toBe('exit');
    expect(node.exitCode).not.toBe(0);
    expect(await sh('echo alive')).toBe('alive');
  });

  it('cannot fill memory through temporary files', async () => {
    const result = await sandbox.exec('dd if=/dev/zero of=/tmp/full bs=1M count=400; rm -f /tmp/full');
    expect(result.output).toMatch(/No space left|Killed/);
    expect(await sh('echo alive')).toBe('alive');
  });

  it('cannot have more processes than its limit, and a fork bomb ends at the time limit', async () => {
    const bomb = await sandbox.exec(
      'python3 -c "import os,sys,time\nn=0\nwhile True:\n try:\n  if os.fork()==0: time.sleep(300)\n  n+=1\n except OSError:\n  print(n, flush=True); break"; sleep 300',
      { timeoutMs: 4000 },
    );
    expect(bomb.ended).toBe('timeout');
    expect(Number(bomb.output.split('\n')[0])).toBeGreaterThan(10);
    expect(Number(bomb.output.split('\n')[0])).toBeLessThan(limits.pids + 32);
    // It becomes the sleep: a shell that cannot fork any more would end, and with it the command.
    const wild = await sandbox.exec('b() { b | b & }; b; exec sleep 300', { timeoutMs: 2000 });
    expect(wild.ended).toBe('timeout');
    expect(Number(await sh("ls /proc | grep -c '^[0-9]'"))).toBeLessThan(12);
  });

  it('is killed although it hides from its command', async () => {
    // Daemonised twice, in a session of its own, with an empty environment and no ancestor of the command.
    const hide = `env -i setsid -f /bin/sh -c 'setsid -f sleep 4242'`;
    const result = await sandbox.exec(`${hide}; echo up; sleep 300`, { timeoutMs: 1500 });
    expect(result.ended).toBe('timeout');
    expect(await sh('pgrep -f "sleep 424[2]" || echo none')).toBe('none');
  });

  it('cannot take its agent away for good', async () => {
    const result = await sandbox.exec('kill -9 -1; kill -9 1; echo survived');
    expect(result.ended).toBe('lost');
    expect(await sandbox.state()).toBe('running');
    expect(await sh('echo alive')).toBe('alive');
    await sandbox.exec('rm -rf /run/comio/* /var/comio/* 2>/dev/null; true');
    expect(await sh('echo alive')).toBe('alive');
  });
});

describe('an agent that code beside it has halted', () => {
  const halt = 'kill -STOP $(pgrep -f agent/[m]ain.ts); echo halted; sleep 300';
  const alive = async () => {
    expect(await sh('cat kept; pgrep -f "sleep 30[0]" || echo none')).toBe('keptnone');
  };

  it('does not outlive the time limit of a command', async () => {
    await sandbox.files.write('kept', 'kept');
    expect((await sandbox.exec(halt, { timeoutMs: 100 })).ended).toBe('timeout');
    await alive();
  });

  it('does not hold up an abort', async () => {
    await sandbox.files.write('kept', 'kept');
    const controller = new AbortController();
    const running = sandbox.exec(halt, { signal: controller.signal });
    await expect
      .poll(async () =>
        (await dockerClient().getContainer(sandbox.id).top()).Processes.flat().includes('sleep 300'),
      )
      .toBe(true);
    controller.abort();
    expect((await running).ended).toBe('aborted');
    await alive();
  });
});

describe('the container', () => {
  it('is made as the documentation says', async () => {
    const { HostConfig, Config } = await dockerClient().getContainer(sandbox.id).inspect();
    expect(HostConfig).toMatchObject({
      Privileged: false,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      NetworkMode: 'none',
      Memory: 256 * 1024 * 1024,
      MemorySwap: 256 * 1024 * 1024,
      NanoCpus: 1e9,
      PidsLimit: 96,
      Binds: null,
    });
    expect(HostConfig.Mounts?.map((mount) => mount.Type)).toEqual(['volume', 'volume']);
    expect(Config.User).toBe('10001:10001');
    expect(Config.Labels).toMatchObject({ 'comio.sandbox': '1', 'comio.key': sandbox.key });
  });

  it('leaves neither container nor volume behind', async () => {
    const docker = dockerClient();
    const other = await driver.create({ key: uniqueKey(), limits, network: 'none' });
    const volumes = async () => (await docker.listVolumes()).Volumes.map((volume) => volume.Name);
    expect((await volumes()).filter((name) => name.startsWith(other.id))).toHaveLength(2);
    await other.destroy();
    expect((await volumes()).filter((name) => name.startsWith(other.id))).toEqual([]);
  });
});

describe('the search for secrets', () => {
  const canary = 'canary-7f3e9c1b52d84a60';

  it('finds nothing that was not put there', async () => {
    process.env.COMIO_TEST_CANARY = canary;
    try {
      await sandbox.exec('true');
      expect(await scanForSecrets(sandbox, [canary, 'x-access-token'])).toEqual([]);
    } finally {
      delete process.env.COMIO_TEST_CANARY;
    }
  });

  it('finds what is in files, environments and command lines', async () => {
    await sandbox.files.write('deep/er/.env', `KEY=${canary}\n`);
    await sandbox.exec(
      `SECRET=${canary} sleep 60 >/dev/null 2>&1 & sh -c 'sleep 60; : ${canary}' >/dev/null 2>&1 &`,
    );
    const leaks = (await scanForSecrets(sandbox, [canary])).map((leak) => leak.where);
    expect(leaks).toContain('/workspace/deep/er/.env');
    expect(leaks.some((where) => /^\/proc\/\d+\/environ$/.test(where))).toBe(true);
    expect(leaks.some((where) => /^\/proc\/\d+\/cmdline$/.test(where))).toBe(true);
  });
});
