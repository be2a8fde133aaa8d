import { execFile } from 'node:child_process';
import { access, constants, cp, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { withProcessLock } from '#sandbox/process-lock.ts';
import { root } from './sources.ts';

const run = promisify(execFile);

/** Paths. */
export interface PrometheusPrograms {
  prometheus: string;
  promtool: string;
  alertmanager: string;
  amtool: string;
}

const NAMES: Record<keyof PrometheusPrograms, readonly string[]> = {
  prometheus: ['prometheus'],
  promtool: ['promtool'],
  // Debian's name, then its makers'.
  alertmanager: ['prometheus-alertmanager', 'alertmanager'],
  amtool: ['amtool'],
};
const PACKAGES = ['prometheus', 'prometheus-alertmanager'];
const UNPACKED = join(root, 'node_modules/.cache/comio/prometheus');

/** Where Debian's Alertmanager looks for the templates it does not start without. */
const TEMPLATES = '/usr/share/prometheus/alertmanager';

/**
 * Those in the PATH, or else those of Debian's packages, which are unpacked below node_modules and not installed: an
 * installed package would start, and leave running, a Prometheus and an Alertmanager of its own. What is put elsewhere
 * is Alertmanager's templates, whose place is built into it.
 * Throws with what to do where this is not Debian, or not root and the templates are missing.
 */
export async function prometheusPrograms(say: (line: string) => void): Promise<PrometheusPrograms> {
  const installed = await findAll((process.env.PATH ?? '').split(delimiter));
  if (installed) return installed;
  const onWait = () => say('Waiting until others have installed their Debian packages');
  // The lock of sandbox/image/debian-packages.ts: one apt at a time.
  return await withProcessLock('debian packages', { onWait }, async () => {
    if (!(await findAll([binOf(UNPACKED)]))) await unpack(say);
    const unpacked = await findAll([binOf(UNPACKED)]);
    if (!unpacked)
      throw new Error(`The packages ${PACKAGES.join(', ')} lack one of ${Object.values(NAMES).flat()}`);
    if (!(await isThere(join(TEMPLATES, 'default.tmpl')))) await placeTemplates(say);
    return unpacked;
  });
}

async function placeTemplates(say: (line: string) => void): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new Error(`Alertmanager needs ${TEMPLATES}. As root: apt-get install prometheus-alertmanager`);
  say(`Placing Alertmanager's templates in ${TEMPLATES}, without which it does not start.`);
  await mkdir(TEMPLATES, { recursive: true });
  for (const name of ['default.tmpl', 'email.tmpl']) {
    const from = join(UNPACKED, TEMPLATES, name);
    if (await isThere(from)) await cp(from, join(TEMPLATES, name));
  }
}

async function unpack(say: (line: string) => void): Promise<void> {
  if (!(await isThere('/usr/bin/apt-get', constants.X_OK))) {
    throw new Error(
      'Missing here: prometheus, promtool, alertmanager, amtool. Put them in the PATH: https://prometheus.io/download/',
    );
  }
  say(
    `Unpacking Debian's packages ${PACKAGES.join(', ')} below node_modules (30 MB; neither is installed or started).`,
  );
  await mkdir(join(UNPACKED, '..'), { recursive: true });
  const work = await mkdtemp(`${UNPACKED}-`);
  try {
    await download(work);
    for (const file of await readdir(work)) {
      if (file.endsWith('.deb')) await run('dpkg-deb', ['--extract', join(work, file), join(work, 'files')]);
    }
    await rm(UNPACKED, { recursive: true, force: true });
    await rename(join(work, 'files'), UNPACKED);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function download(directory: string): Promise<void> {
  // apt wants to download as a user of its own, who may not write here.
  const apt = (...argv: string[]) =>
    run('apt-get', ['-qq', '-o', 'APT::Sandbox::User=root', ...argv], { cwd: directory });
  const fetch = () => apt('download', ...PACKAGES);
  try {
    await fetch();
  } catch (cause) {
    if (process.getuid?.() !== 0) {
      throw new Error(`apt-get download ${PACKAGES.join(' ')} failed. As root: apt-get update`, { cause });
    }
    // A fresh machine has no package lists, an old one outdated ones; one of several sources may fail unneeded.
    const [updated] = await Promise.allSettled([apt('update')]);
    await fetch().catch((error: unknown) => {
      const reasons = updated.status === 'fulfilled' ? [error] : [updated.reason, error];
      throw new Error(`apt-get download ${PACKAGES.join(' ')} failed:\n${reasons.join('\n')}`, {
        cause: error,
      });
    });
  }
}

const binOf = (directory: string): string => join(directory, 'usr/bin');

/** All four, or undefined. */
async function findAll(folders: readonly string[]): Promise<PrometheusPrograms | undefined> {
  const find = async (names: readonly string[]): Promise<string | undefined> => {
    for (const folder of folders)
      for (const name of names)
        if (await isThere(join(folder, name), constants.X_OK)) return join(folder, name);
    return undefined;
  };
  const [prometheus, promtool, alertmanager, amtool] = await Promise.all([
    find(NAMES.prometheus),
    find(NAMES.promtool),
    find(NAMES.alertmanager),
    find(NAMES.amtool),
  ]);
  return prometheus && promtool && alertmanager && amtool
    ? { prometheus, promtool, alertmanager, amtool }
    : undefined;
}

const isThere = (path: string, mode = constants.F_OK): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  );
