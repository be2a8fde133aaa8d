import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import {
  MAX_FILE_BYTES,
  SandboxError,
  type SearchMatch,
  type SearchOptions,
  type SearchResult,
} from '../sandbox.ts';

/** `root` absolute, `path` workspace-relative, resolved and existing ('' for the whole workspace). */
export interface SearchRequest extends SearchOptions {
  root: string;
  path: string;
}
export type Search = (request: SearchRequest) => Promise<SearchResult>;

const DEFAULT_MAX_MATCHES = 200;
/** A minified line helps nobody; longer ones are cut. */
const MAX_LINE_CHARACTERS = 500;

/** By `rg` from the PATH: hidden files yes, `.git` no, what .gitignore names no, binary files no. */
export const ripgrep: Search = (request) => {
  const argv = ['--json', '--hidden', '--no-require-git', '--no-config', '--sort=path'];
  argv.push('--glob=!.git', `--max-filesize=${MAX_FILE_BYTES}`);
  if (request.ignoreCase) argv.push('--ignore-case');
  if (request.glob !== undefined) argv.push(`--glob=${request.glob}`);
  argv.push(`--regexp=${request.pattern}`, '--', request.path === '' ? './' : `./${request.path}`);
  // 2 means an error, but with matches it was only an unreadable file.
  return collect('rg', argv, request, parseRipgrep, (code, matched) => code === 2 && !matched);
};

/**
 * By `git grep --no-index`, for hosts without ripgrep: the same files (hidden yes, ignored no), Perl-compatible
 * expressions instead of ripgrep's.
 */
export const gitGrep: Search = (request) => {
  const argv = ['-c', 'core.quotePath=false', 'grep', '--no-index', '--exclude-standard', '--null'];
  argv.push('--line-number', '--full-name', '--no-color', '-I', '--perl-regexp');
  if (request.ignoreCase) argv.push('--ignore-case');
  argv.push('-e', request.pattern, '--');
  const under = request.path === '' ? '' : `${request.path}/`;
  if (request.glob === undefined) argv.push(request.path === '' ? '.' : request.path);
  else argv.push(`:(glob)${under}${request.glob.includes('/') ? request.glob : `**/${request.glob}`}`);
  return collect('git', argv, request, parseGitGrep, (code) => code !== 0 && code !== 1);
};

function collect(
  command: string,
  argv: string[],
  request: SearchRequest,
  parse: (line: string) => SearchMatch | undefined,
  failed: (code: number | null, matched: boolean) => boolean,
): Promise<SearchResult> {
  const max = request.maxMatches ?? DEFAULT_MAX_MATCHES;
  const { promise, resolve, reject } = Promise.withResolvers<SearchResult>();
  const child = spawn(command, argv, { cwd: request.root, stdio: ['ignore', 'pipe', 'pipe'] });
  const matches: SearchMatch[] = [];
  let more = false;
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < 2000) stderr += text;
  });
  createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
    // After the kill a last line may come that is cut short.
    const match = more ? undefined : parse(line);
    if (match === undefined) return;
    if (matches.length < max) {
      matches.push(match);
    } else {
      more = true;
      child.kill('SIGKILL');
    }
  });
  child.on('error', (error) => {
    reject(new SandboxError('io_failed', `${command} could not run: ${error.message}`, { cause: error }));
  });
  child.on('close', (code) => {
    if (!more && failed(code, matches.length > 0)) {
      reject(new SandboxError('bad_pattern', stderr.trim().slice(0, 500) || `${command} ended with ${code}`));
    } else {
      matches.sort((a, b) => (a.path === b.path ? a.line - b.line : a.path < b.path ? -1 : 1));
      resolve({ matches, more });
    }
  });
  return promise;
}

/** One line of `rg --json`; a path or text that is not UTF-8 comes as base64 in `bytes`. */
interface RipgrepText {
  text?: string;
  bytes?: string;
}
interface RipgrepLine {
  type: string;
  data: { path: RipgrepText; lines: RipgrepText; line_number: number };
}

function parseRipgrep(line: string): SearchMatch | undefined {
  if (line === '') return undefined;
  const { type, data }: RipgrepLine = JSON.parse(line);
  if (type !== 'match') return undefined;
  const path = textOf(data.path).replace(/^\.\//, '');
  return { path, line: data.line_number, text: shorten(textOf(data.lines).replace(/\r?\n$/, '')) };
}

const textOf = (value: RipgrepText): string =>
  value.text ?? Buffer.from(value.bytes ?? '', 'base64').toString();

/** `path\0line\0text`, as `--null --line-number` prints it. */
function parseGitGrep(line: string): SearchMatch | undefined {
  const [path, number, ...rest] = line.split('\0');
  if (path === undefined || number === undefined) return undefined;
  return { path, line: Number(number), text: shorten(rest.join('\0')) };
}

const shorten = (text: string): string =>
  text.length > MAX_LINE_CHARACTERS ? `${text.slice(0, MAX_LINE_CHARACTERS)}…` : text;
