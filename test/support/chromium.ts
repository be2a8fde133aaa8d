import { access, constants, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { installDebianPackages } from '#sandbox/image/debian-packages.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
/** Debian's Chromium comes without a font of its own. */
const PACKAGES = ['chromium', 'fonts-liberation', 'fonts-dejavu-core'] as const;

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
  deps.say('The tests of the status page need a browser, and there is no Chromium here yet.');
  await installDebianPackages(PACKAGES, { onProgress: deps.say });
  const installed = await findChromium();
  if (installed === undefined) throw new Error(`${PACKAGES[0]} is installed, but not in the PATH`);
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
