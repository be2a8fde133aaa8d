import { z } from 'zod';
import type { SourceTree } from './source.ts';
import { TargetError } from './target.ts';

export interface Recipe {
  kind: 'node' | 'python';
  /** Shell lines run as root while the image is built, with the network: what installs the dependencies. */
  install: string[];
  /** What the install lines read; the rest of the source comes after, so that they are not repeated for each change. */
  installFiles: string[];
  /** Shell lines run after that, with the whole source. */
  build: string[];
  environment: Record<string, string>;
  /** The app, for `sh -c`. To end it SIGTERM goes to the whole process group. */
  command: string;
}

/** The port an app is told to listen on where its image does not say another. */
export const DEFAULT_PORT = 3000;

const packageJson = z.object({
  main: z.string().optional(),
  scripts: z.record(z.string(), z.string()).default({}),
  dependencies: z.record(z.string(), z.string()).default({}),
  devDependencies: z.record(z.string(), z.string()).default({}),
  workspaces: z.unknown().optional(),
});
/** Scripts of the project that `npm ci` runs. */
const LIFECYCLE = ['preinstall', 'install', 'postinstall', 'prepare'];
type PackageJson = z.output<typeof packageJson>;

/** How a project without a Dockerfile is built and started. Throws `no_recipe`, with what to add. */
export function chooseRecipe(tree: SourceTree): Recipe {
  const manifest = readPackageJson(tree);
  const recipe = (manifest && nodeRecipe(tree, manifest)) ?? pythonRecipe(tree);
  if (recipe !== undefined) return recipe;
  throw new TargetError(
    'no_recipe',
    manifest === undefined
      ? 'It is not clear how to start this project. Add a Dockerfile, a package.json with a `start` script, or a main.py.'
      : 'package.json does not say how to start this project. Add a `start` script, `main`, or a Dockerfile.',
  );
}

function readPackageJson({ texts }: SourceTree): PackageJson | undefined {
  const text = texts.get('package.json');
  if (text === undefined) return undefined;
  try {
    return packageJson.parse(JSON.parse(text));
  } catch (cause) {
    throw new TargetError('no_recipe', 'package.json cannot be read: it is not valid. Correct it.', {
      cause,
    });
  }
}

function nodeRecipe({ files }: SourceTree, manifest: PackageJson): Recipe | undefined {
  const { scripts, dependencies, devDependencies, workspaces, main } = manifest;
  const entry = main === undefined ? undefined : `node ${quote(main)}`;
  const start = scripts.start ?? entry;
  if (start === undefined) return undefined;
  const builds = scripts.build !== undefined;
  const all = { ...dependencies, ...(builds ? devDependencies : {}) };
  const lock = ['package-lock.json', 'npm-shrinkwrap.json'].find((name) => files.has(name));
  const needed = Object.keys(all).length > 0 || workspaces !== undefined;
  if (needed && lock === undefined) {
    throw new TargetError(
      'no_recipe',
      'package.json has dependencies, but there is no package-lock.json that pins them. ' +
        'Commit the one `npm install` writes, or add a Dockerfile.',
    );
  }
  const readsMore =
    workspaces !== undefined ||
    LIFECYCLE.some((name) => name in scripts) ||
    Object.values(all).some((version) => version.startsWith('file:'));
  const lists = ['package.json', 'package-lock.json', 'npm-shrinkwrap.json', '.npmrc'];
  return {
    kind: 'node',
    install: needed ? [`npm ci ${builds ? '--include=dev' : '--omit=dev'}`] : [],
    installFiles: readsMore ? ['.'] : lists.filter((name) => files.has(name)),
    build: builds ? ['npm run build'] : [],
    environment: { NODE_ENV: 'production', PATH: '/app/node_modules/.bin:$PATH' },
    command: waiting(scripts.prestart === undefined ? start : `${scripts.prestart} && ${start}`),
  };
}

function pythonRecipe({ files, texts }: SourceTree): Recipe | undefined {
  const script = ['main.py', 'app.py'].find((name) => files.has(name));
  const [module] = [...files]
    .flatMap((path) => /^([A-Za-z_]\w*)\/__main__\.py$/.exec(path)?.[1] ?? [])
    .toSorted();
  const run = script ?? (module && `-m ${module}`);
  if (run === undefined) return undefined;
  const requirements = (texts.get('requirements.txt') ?? '')
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
  const declared = /^dependencies\s*=\s*\[\s*[^\]\s]/m.test(texts.get('pyproject.toml') ?? '');
  const pip =
    'python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check';
  // A line may also name another file (`-r`) or a directory.
  const readsMore = requirements.some((line) => /^[-./]/.test(line));
  return {
    kind: 'python',
    install: requirements.length > 0 ? [`${pip} -r requirements.txt`] : declared ? [`${pip} .`] : [],
    installFiles: requirements.length > 0 && !readsMore ? ['requirements.txt'] : ['.'],
    build: [],
    environment: {
      PYTHONUNBUFFERED: '1',
      PYTHONDONTWRITEBYTECODE: '1',
      PATH: '/opt/venv/bin:$PATH',
    },
    command: waiting(`python3 ${run}`),
  };
}

/**
 * A shell that is told to end waits for what it runs, which was told as well (a trap is not inherited, as ignoring a
 * signal would be), and passes its exit code on. Without this it ends first, and the app in the middle of its work.
 */
const waiting = (command: string): string => `trap : TERM; ${command}`;

/** Whoever an app runs as: a number, since a base image may have no such name. */
const APP_USER = '10001:10001';

/** The recipe as a Dockerfile that any builder understands. Docker's init, tini, is told by its variable whom to signal. */
export function dockerfileOf(recipe: Recipe, baseImage: string): string {
  const env = {
    HOME: '/tmp',
    PORT: String(DEFAULT_PORT),
    TINI_KILL_PROCESS_GROUP: '1',
    ...recipe.environment,
  };
  return [
    `FROM ${baseImage}`,
    'USER 0:0',
    'WORKDIR /app',
    `ENV ${Object.entries(env)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ')}`,
    ...(recipe.install.length > 0 ? [`COPY ${recipe.installFiles.join(' ')} ./`] : []),
    ...recipe.install.map((line) => `RUN ${line}`),
    'COPY . .',
    ...recipe.build.map((line) => `RUN ${line}`),
    `USER ${APP_USER}`,
    `EXPOSE ${DEFAULT_PORT}`,
    'ENTRYPOINT []',
    `CMD ${JSON.stringify(['/bin/sh', '-c', recipe.command])}`,
    '',
  ].join('\n');
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
