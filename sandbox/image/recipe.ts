import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** What Docker calls an architecture → what Node does. */
const NODE_ARCHITECTURES: Readonly<Record<string, string>> = { amd64: 'x64', arm64: 'arm64' };

export const DEBIAN_SUITE = 'bookworm';
/** The Dockerfile's own default for BASE. */
export const REGISTRY_BASE = `debian:${DEBIAN_SUITE}-slim`;
const NODE_VERSION = '24.21.0';
const NPM_VERSION = '11.21.2';

export interface Recipe {
  /** Of the image: a hash of everything it is made from. */
  tag: string;
  /** Of the base that is made from Debian packages where no registry is reached. */
  bootstrapTag: string;
  /** As Docker names it. */
  architecture: string;
  /** Debian packages of the image. */
  packages: string[];
  /** npm packages that go into the build context under a name of their own. */
  npmPackages: { spec: string; as: string }[];
  /** All other files of the build context. */
  files: Map<string, Buffer>;
}

/** Throws `image_failed`-worthy errors only for files missing from the checkout. */
export async function readRecipe(architecture: string): Promise<Recipe> {
  const packagesText = await readFile(join(ROOT, 'infra/docker/sandbox-packages.txt'));
  const files = new Map<string, Buffer>();
  files.set('Dockerfile', await readFile(join(ROOT, 'infra/docker/Dockerfile.sandbox')));
  files.set('packages.txt', packagesText);
  files.set('comio/package.json', Buffer.from('{ "type": "module" }\n'));
  files.set('comio/compile.ts', await readFile(join(ROOT, 'sandbox/image/compile-agent.ts')));
  files.set('comio/sandbox/sandbox.ts', await readFile(join(ROOT, 'sandbox/sandbox.ts')));
  for (const name of (await readdir(join(ROOT, 'sandbox/agent'))).sort()) {
    // The client is the core's end.
    if (name === 'client.ts') continue;
    files.set(`comio/sandbox/agent/${name}`, await readFile(join(ROOT, 'sandbox/agent', name)));
  }
  const nodePackage = `node-linux-${NODE_ARCHITECTURES[architecture] ?? architecture}`;
  const npmPackages = [
    { spec: `${nodePackage}@${NODE_VERSION}`, as: 'node.tgz' },
    { spec: `npm@${NPM_VERSION}`, as: 'npm.tgz' },
  ];
  const bootstrapHash = createHash('sha256').update(DEBIAN_SUITE).update(architecture).update(packagesText);
  const hash = createHash('sha256').update(JSON.stringify([architecture, npmPackages]));
  for (const [name, content] of files) hash.update(`\0${name}\0${content.length}\0`).update(content);
  return {
    tag: `comio-sandbox:${hash.digest('hex').slice(0, 16)}`,
    bootstrapTag: `comio-sandbox-base:${bootstrapHash.digest('hex').slice(0, 16)}`,
    architecture,
    packages: packagesText.toString().split('\n').filter(Boolean),
    npmPackages,
    files,
  };
}
