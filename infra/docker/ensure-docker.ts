import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createDockerClient } from '#sandbox/docker-client.ts';
import { installDebianPackages, isExecutable } from '#sandbox/image/debian-packages.ts';
import { withProcessLock } from '#sandbox/process-lock.ts';
import { SandboxError } from '#sandbox/sandbox.ts';

export interface EnsureDockerOptions {
  /** Told what happens, in lines a person reads. */
  say: (line: string) => void;
  /** As in DOCKER_HOST. A daemon named there is used or reported, never installed. */
  dockerHost?: string | undefined;
  /** Where a daemon started here writes its log. */
  logFile?: string | undefined;
}

const START_MS = 90_000;

/**
 * A Docker daemon that answers. One that does is left alone; on Debian, as root, Docker is installed from Debian's
 * own packages and started. Throws `driver_unavailable` with the command to run where it may or can do neither.
 */
export async function ensureDocker(options: EnsureDockerOptions): Promise<void> {
  const { say, dockerHost, logFile = '/var/log/comio-dockerd.log' } = options;
  const state = await ask(dockerHost);
  if (state === 'answers') return;
  if (dockerHost !== undefined) {
    throw new SandboxError(
      'driver_unavailable',
      `No Docker daemon answers at ${dockerHost} (DOCKER_HOST). Start it, or unset DOCKER_HOST.`,
    );
  }
  if (state === 'forbidden') {
    throw new SandboxError(
      'driver_unavailable',
      'There is a Docker daemon, but this user may not use it. As root: usermod -aG docker NAME, then log in again.',
    );
  }
  const installed = (await isExecutable('/usr/sbin/dockerd')) || (await isExecutable('/usr/bin/dockerd'));
  if (process.getuid?.() !== 0) {
    throw new SandboxError(
      'driver_unavailable',
      `Comio works in Docker containers, and no Docker daemon answers. As root: ${
        installed ? 'systemctl start docker' : 'apt-get install docker.io'
      }, then usermod -aG docker NAME, and log in again.`,
    );
  }
  const onWait = () => say('Waiting for another process that starts Docker…');
  await withProcessLock('docker daemon', { onWait }, async () => {
    if (!installed) await install(say);
    // The package may have started it, or whoever held the lock before.
    if (!(await answersWithin(2000))) await start(say, logFile);
    say('Docker is ready.');
  });
}

async function install(say: (line: string) => void): Promise<void> {
  if (!(await isExecutable('/usr/bin/apt-get'))) {
    throw new SandboxError(
      'driver_unavailable',
      'Docker is not installed, and this is not Debian. Install Docker: https://docs.docker.com/engine/install/',
    );
  }
  say('Comio works in Docker containers, and there is no Docker here yet.');
  const started = performance.now();
  // Where the kernel enforces AppArmor, dockerd starts no container without its parser.
  const apparmor = (await isAppArmorOn()) ? ['apparmor'] : [];
  await installDebianPackages(['docker.io', 'iptables', ...apparmor], { onProgress: say });
  say(`Docker is installed (${Math.round((performance.now() - started) / 1000)} s).`);
}

async function isAppArmorOn(): Promise<boolean> {
  const file = '/sys/module/apparmor/parameters/enabled';
  return existsSync(file) && (await readFile(file, 'utf8')).startsWith('Y');
}

async function start(say: (line: string) => void, logFile: string): Promise<void> {
  if (existsSync('/run/systemd/system')) {
    say('Starting the Docker daemon: systemctl start docker');
    const starting = spawn('systemctl', ['start', 'docker'], { stdio: ['ignore', 'ignore', 'inherit'] });
    const code = await new Promise((resolve, reject) => starting.on('error', reject).on('close', resolve));
    if (code === 0 && (await answersWithin(START_MS))) return;
    throw new SandboxError(
      'driver_unavailable',
      'The Docker daemon does not answer. See: journalctl -u docker',
    );
  }
  say(`Starting the Docker daemon, which keeps running afterwards (its log: ${logFile})`);
  const log = openSync(logFile, 'a');
  // It calls the administrator's programs, which are not in the PATH of every root.
  const daemon = spawn('sh', ['-c', 'PATH="$PATH:/usr/sbin:/sbin" exec dockerd'], {
    detached: true,
    stdio: ['ignore', log, log],
  });
  const ended = new Promise<string>((resolve) => {
    daemon.on('error', (error) => resolve(error.message));
    daemon.on('exit', (code) => resolve(`dockerd ended with ${code}`));
  });
  const outcome = await Promise.race([answersWithin(START_MS), ended]);
  daemon.unref();
  if (outcome === true) return;
  const tail = readFileSync(logFile, 'utf8').slice(-2000);
  throw new SandboxError(
    'driver_unavailable',
    `The Docker daemon did not start (${outcome || 'no answer'}). End of ${logFile}:\n${tail}`,
  );
}

async function ask(dockerHost: string | undefined): Promise<'answers' | 'forbidden' | 'silent'> {
  try {
    await createDockerClient(dockerHost).ping();
    return 'answers';
  } catch (error) {
    // Whatever other reason, there is no daemon to work with.
    return error instanceof Error && 'code' in error && error.code === 'EACCES' ? 'forbidden' : 'silent';
  }
}

async function answersWithin(ms: number): Promise<boolean> {
  const until = performance.now() + ms;
  do {
    if ((await ask(undefined)) === 'answers') return true;
    await delay(200);
  } while (performance.now() < until);
  return false;
}
