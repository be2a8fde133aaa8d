import { execFile } from 'node:child_process';
import { access, constants, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const run = promisify(execFile);

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
/** Debian's Chromium comes without a font of its own. */
const PACKAGES = ['chromium', 'fonts-liberation', 'fonts-dejavu-core'];

async function findChromium(): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of NAMES) {
      const path = join(folder, name);
      const found = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return path;
    }
  }
  return undefined;
}

/** The path of a Chromium; as root on Debian installs one where there is none, saying so. */
export async function ensureChromium(deps: { say: (line: string) => void }): Promise<string> {
  const found = await findChromium();
  if (found !== undefined) return found;
  const command = `apt-get install -y --no-install-recommends ${PACKAGES.join(' ')}`;
  if (process.getuid?.() !== 0) {
    throw new Error(`The browser tests need Chromium. As root: ${command}`);
  }
  deps.say(`No Chromium here; installing Debian's packages (about a minute): ${command}`);
  const apt = (args: string[]) =>
    run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      maxBuffer: 64 * 1024 * 1024,
    });
  await apt(['update', '-q']);
  await apt(['install', '-y', '-q', '--no-install-recommends', ...PACKAGES]);
  const installed = await findChromium();
  if (installed === undefined) throw new Error(`${command} ended well, but there is no Chromium in the PATH`);
  deps.say(`Installed ${installed}`);
  return installed;
}

/** A headless page in a fresh profile; browser and profile are gone when `use` is done. */
export async function withPage<T>(
  executable: string,
  options: BrowserContextOptions,
  use: (page: Page) => Promise<T>,
): Promise<T> {
  const profile = await mkdtemp(join(tmpdir(), 'comio-chromium-'));
  try {
    const context = await chromium.launchPersistentContext(profile, {
      ...options,
      executablePath: executable,
      headless: true,
      // Without these Chromium looks up its maker's hosts at every start, and root needs no sandbox.
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
    try {
      return await use(context.pages()[0] ?? (await context.newPage()));
    } finally {
      await context.close();
    }
  } finally {
    await rm(profile, { recursive: true, force: true });
  }
}
