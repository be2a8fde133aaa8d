import { spawn } from 'node:child_process';
import { constants, existsSync, openSync, readFileSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createDockerClient } from '#sandbox/docker-client.ts';

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
 * own packages and started. Throws with the command to run where it may or can do neither.
 */
export async function ensureDocker(options: EnsureDockerOptions): Promise<void> {
  const { say, dockerHost, logFile = '/var/log/comio-dockerd.log' } = options;
  if (await answers(dockerHost)) return;
  if (dockerHost !== undefined) {
    throw new Error(
      `No Docker daemon answers at ${dockerHost} (DOCKER_HOST). Start it, or unset DOCKER_HOST.`,
    );
  }
  if (process.getuid?.() !== 0) {
    throw new Error(
      'No Docker daemon answers. Run as root: apt-get install docker.io (or start the installed one: systemctl start docker), and add yourself to the group "docker".',
    );
  }
  if (!(await isExecutable('/usr/sbin/dockerd', '/usr/bin/dockerd'))) await install(say);
  // The package may have started it.
  if (await answersWithin(2000)) return say('Docker is ready.');
  await start(say, logFile);
}

async function install(say: (line: string) => void): Promise<void> {
  if (!(await isExecutable('/usr/bin/apt-get'))) {
    throw new Error(
      'Docker is not installed, and this is not Debian. Install Docker: https://docs.docker.com/engine/install/',
    );
  }
  say('Installing Docker from Debian packages (docker.io)…');
  const started = performance.now();
  const apt = [
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'apt-get',
    '-qq',
    '-o',
    'DPkg::Lock::Timeout=120',
  ] as const;
  // A source that fails may be another than Debian's; installing tells whether it matters.
  const updated = await run([...apt, 'update']);
  const installed = await run([...apt, 'install', '-y', '--no-install-recommends', 'docker.io', 'iptables']);
  if (installed.code !== 0) {
    throw new Error(
      `Docker could not be installed by apt-get install docker.io:\n${updated.said}${installed.said}`,
    );
  }
  say(`Docker is installed (${Math.round((performance.now() - started) / 1000)} s).`);
}

async function start(say: (line: string) => void, logFile: string): Promise<void> {
  say('Starting the Docker daemon…');
  if (existsSync('/run/systemd/system')) {
    const { code, said } = await run(['systemctl', 'start', 'docker']);
    if (code !== 0) throw new Error(`systemctl start docker failed:\n${said}`);
    if (await answersWithin(START_MS)) return say('Docker is ready.');
    throw new Error('The Docker daemon was started but does not answer. See: journalctl -u docker');
  }
  const log = openSync(logFile, 'a');
  const daemon = spawn('dockerd', [], { detached: true, stdio: ['ignore', log, log] });
  const ended = new Promise<string>((resolve) => {
    daemon.on('error', (error) => resolve(error.message));
    daemon.on('exit', (code) => resolve(`dockerd ended with ${code}`));
  });
  const outcome = await Promise.race([answersWithin(START_MS), ended]);
  daemon.unref();
  if (outcome === true) return say('Docker is ready.');
  const tail = readFileSync(logFile, 'utf8').slice(-2000);
  throw new Error(`The Docker daemon did not start (${outcome || 'no answer'}). End of ${logFile}:\n${tail}`);
}

async function answers(dockerHost: string | undefined): Promise<boolean> {
  try {
    await createDockerClient(dockerHost).ping();
    return true;
  } catch {
    // Whatever the reason, there is no daemon to work with.
    return false;
  }
}

async function answersWithin(ms: number): Promise<boolean> {
  const until = performance.now() + ms;
  do {
    if (await answers(undefined)) return true;
    await delay(200);
  } while (performance.now() < until);
  return false;
}

async function isExecutable(...paths: string[]): Promise<boolean> {
  const found = await Promise.allSettled(paths.map((path) => access(path, constants.X_OK)));
  return found.some((result) => result.status === 'fulfilled');
}

/** `said`: the end of what it printed. */
function run(argv: readonly [string, ...string[]]): Promise<{ code: number | null; said: string }> {
  const [program, ...rest] = argv;
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const keep = (text: string): void => {
    said = (said + text).slice(-3000);
  };
  child.stdout.setEncoding('utf8').on('data', keep);
  child.stderr.setEncoding('utf8').on('data', keep);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, said }));
  });
}
