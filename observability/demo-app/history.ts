import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

/**
 * The shop's repository. `shop/` is its tree at the last good commit; `history/N/` holds the files of the N-th commit
 * that looked different then. The last commit has a bug.
 */

interface Commit {
  message: string;
  date: string;
  /** Written by it: new or changed. */
  files: readonly string[];
}

const COMMITS: readonly Commit[] = [
  {
    message: 'Take orders and show them',
    date: '2026-01-05T09:12:00Z',
    files: [
      '.gitignore',
      'README.md',
      'package.json',
      'src/app.js',
      'src/log.js',
      'src/main.js',
      'src/orders.js',
      'src/prices.js',
      'src/router.js',
      'test/orders.test.js',
      'test/shop.js',
    ],
  },
  {
    message: 'Let running requests end on SIGTERM\n\nA deployment cut off whoever was just ordering.',
    date: '2026-01-06T14:40:00Z',
    files: ['src/main.js'],
  },
  {
    message: 'Count and time requests for Prometheus',
    date: '2026-01-08T10:03:00Z',
    files: ['src/app.js', 'src/metrics.js', 'test/metrics.test.js'],
  },
  {
    message: 'List the orders of a customer',
    date: '2026-01-12T15:21:00Z',
    files: ['src/orders.js', 'test/customers.test.js'],
  },
  {
    message: 'Rehearse failures with chaos switches\n\nOnly with CHAOS=1, and all off at first.',
    date: '2026-01-14T11:48:00Z',
    files: ['README.md', 'src/app.js', 'src/chaos.js', 'src/main.js', 'test/chaos.test.js'],
  },
  {
    message: 'Give a discount from ten pieces on\n\n5 % from 10, 10 % from 50 pieces.',
    date: '2026-01-19T09:55:00Z',
    files: ['src/orders.js', 'src/prices.js', 'test/prices.test.js'],
  },
  {
    message:
      'Look discounts up instead of searching for them\n\nPricing an order searched the tiers every time; now each quantity has its tier.',
    date: '2026-01-21T16:30:00Z',
    files: ['src/prices.js'],
  },
];

/** What is wrong at the last commit, how it shows, and what mends it. */
export const bug = {
  file: 'src/prices.js',
  description:
    'The table of discounts ends at the quantity where the last tier begins (50), so an order of more pieces finds no tier and is answered with 500.',
  /** Of the error's line in the log. */
  logMessage: "Cannot destructure property 'percent' of 'tierOf(...)' as it is undefined.",
  fix: {
    edits: [
      {
        file: 'src/prices.js',
        old: 'const tierOf = (quantity) => TIER_OF[quantity];',
        new: '/** Beyond the table it is the last tier. */\nconst tierOf = (quantity) => TIER_OF[Math.min(quantity, TIER_OF.length - 1)];',
      },
    ],
  },
  reproduction: {
    file: 'test/large-orders.test.js',
    command: 'node --test test/large-orders.test.js',
    content: `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openShop } from './shop.js';

test('takes orders beyond the last tier, with its discount', async (t) => {
  const { send } = await openShop(t);
  for (const quantity of [51, 80, 10_000]) {
    const { status, body } = await send('POST', '/orders', { customer: 'ada', item: 'mug', quantity });
    assert.equal(status, 201, \`an order of \${quantity} pieces\`);
    assert.equal(body.discount, 10);
  }
});
`,
  },
} as const;

export interface ShopHistory {
  /** Oldest first. */
  commits: { sha: string; message: string }[];
  /** The last one that works. */
  goodCommit: string;
  /** The one after it: `main`. */
  badCommit: string;
}

/**
 * Makes the repository in an empty (or missing) directory, `main` checked out. Deterministic: the same files are the
 * same commit ids on every machine. Throws with what git said.
 */
export async function buildShopRepository(directory: string): Promise<ShopHistory> {
  await git(['init', '--quiet', '--initial-branch=main', '--object-format=sha1', '--template=', directory]);
  const stream = Buffer.concat(await Promise.all(COMMITS.map(fastImport)));
  await git(['-C', directory, 'fast-import', '--quiet'], stream);
  await git(['-C', directory, 'reset', '--quiet', '--hard', 'main']);
  const listed = await git(['-C', directory, 'log', '--reverse', '--format=%H %s']);
  const commits = listed
    .trim()
    .split('\n')
    .map((line) => ({ sha: line.slice(0, 40), message: line.slice(41) }));
  const [good, bad] = commits.slice(-2);
  if (!good || !bad) throw new Error('The history has fewer than two commits');
  return { commits, goodCommit: good.sha, badCommit: bad.sha };
}

/** One commit in the format of `git fast-import`, which takes dates and authors as they are given. */
async function fastImport({ message, date, files }: Commit, index: number): Promise<Buffer> {
  const who = `Shop Team <team@shop.example> ${Date.parse(date) / 1000} +0000`;
  const changes = await Promise.all(
    files.map(async (file) => `M 100644 inline ${file}\n${data(await contentAt(index + 1, file))}`),
  );
  const head = `commit refs/heads/main\nauthor ${who}\ncommitter ${who}\n${data(`${message}\n`)}`;
  return Buffer.from(`${head}${changes.join('')}\n`);
}

const data = (content: string): string => `data ${Buffer.byteLength(content)}\n${content}\n`;

async function contentAt(commit: number, file: string): Promise<string> {
  try {
    return await readFile(join(import.meta.dirname, 'history', String(commit), file), 'utf8');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    return await readFile(join(import.meta.dirname, 'shop', file), 'utf8');
  }
}

async function git(argv: readonly string[], input?: Buffer): Promise<string> {
  const child = spawn('git', argv, { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  child.stdin.end(input);
  const [code, said, complaint] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  if (code !== 0) throw new Error(`git ${argv.join(' ')} ended with ${code}: ${complaint.trim()}`);
  return said;
}
