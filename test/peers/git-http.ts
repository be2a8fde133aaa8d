import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { readRefs } from './github-repositories.ts';

export interface GitAccess {
  owner: string;
  name: string;
  write: boolean;
}

export interface Push {
  owner: string;
  name: string;
  refs: { ref: string; before: string | undefined; after: string | undefined }[];
}

export interface GitHttpOptions {
  /** Bare repositories are in ROOT/owner/name.git. */
  root: string;
  /** `missing` is what GitHub says where it does not want to say that there is something. */
  authorize(
    access: GitAccess,
    credentials: { username: string; password: string } | undefined,
  ): 'ok' | 'unauthorized' | 'forbidden' | 'missing';
  onPush(push: Push): void;
}

const REFUSALS = {
  unauthorized: [401, 'Bad credentials'],
  forbidden: [403, 'Write access to repository not granted.'],
  missing: [404, 'Repository not found.'],
} as const;

/**
 * Git's smart HTTP as a hosting site serves it, by `git http-backend`
 * (https://git-scm.com/docs/git-http-backend). Answers false for a request that is none of git's.
 */
export function createGitHttp({ root, authorize, onPush }: GitHttpOptions) {
  /** One push into a repository at a time, so that each can be told what it changed. */
  const pushes = new Map<string, Promise<void>>();

  return async (request: IncomingMessage, response: ServerResponse): Promise<boolean> => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const match = /^\/([\w.-]+)\/([\w.-]+?)(?:\.git)?\/(info\/refs|git-upload-pack|git-receive-pack)$/.exec(
      url.pathname,
    );
    if (!match) return false;
    const [, owner = '', name = '', what = ''] = match;
    const service = what === 'info/refs' ? url.searchParams.get('service') : what;
    const access = { owner, name, write: service === 'git-receive-pack' };
    const answer = authorize(access, credentialsOf(request));
    if (answer !== 'ok') {
      const [status, text] = REFUSALS[answer];
      response.writeHead(status, {
        'content-type': 'text/plain',
        ...(status === 401 ? { 'www-authenticate': 'Basic realm="GitHub"' } : {}),
      });
      response.end(text);
      return true;
    }
    const path = `/${owner}/${name}.git/${what}`;
    if (what !== 'git-receive-pack') {
      await backend(root, path, url.search.slice(1), request, response);
      return true;
    }
    const directory = join(root, owner, `${name}.git`);
    const before = pushes.get(directory) ?? Promise.resolve();
    const push = before.then(async () => {
      const old = await readRefs(directory);
      await backend(root, path, '', request, response, async () => {
        const now = await readRefs(directory);
        const refs = [...new Set([...old.keys(), ...now.keys()])]
          .filter((ref) => old.get(ref) !== now.get(ref))
          .map((ref) => ({ ref, before: old.get(ref), after: now.get(ref) }));
        if (refs.length > 0) onPush({ owner, name, refs });
      });
    });
    pushes.set(
      directory,
      push.catch(() => undefined),
    );
    await push;
    return true;
  };
}

function credentialsOf(request: IncomingMessage): { username: string; password: string } | undefined {
  const [, encoded] = /^Basic\s+(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (encoded === undefined) return undefined;
  const [, username = '', password = ''] =
    /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? [];
  return { username, password };
}

/** One CGI call. `finished` is awaited before anything is sent: whoever sees the answer sees its effects. */
async function backend(
  root: string,
  path: string,
  query: string,
  request: IncomingMessage,
  response: ServerResponse,
  finished?: () => Promise<void>,
): Promise<void> {
  const child = spawn('git', ['-c', 'http.receivepack=true', 'http-backend'], {
    env: {
      PATH: process.env.PATH ?? '',
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      PATH_INFO: path,
      QUERY_STRING: query,
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      REMOTE_USER: 'somebody',
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const exited = once(child, 'close');
  const body = request.headers['content-encoding'] === 'gzip' ? request.pipe(createGunzip()) : request;
  // git stops reading when it has refused; what is still coming then has nowhere to go.
  child.stdin.on('error', () => request.resume());
  body.pipe(child.stdin);
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout) chunks.push(Buffer.from(chunk));
  await exited;
  await finished?.();
  const output = Buffer.concat(chunks);
  const end = output.indexOf('\r\n\r\n');
  const headers = end < 0 ? [] : output.subarray(0, end).toString().split('\r\n');
  response.statusCode = end < 0 ? 500 : 200;
  for (const header of headers) {
    const [, key = '', value = ''] = /^([^:]+):\s*(.*)$/.exec(header) ?? [];
    if (key.toLowerCase() === 'status') response.statusCode = Number.parseInt(value, 10);
    else response.setHeader(key, value);
  }
  response.end(output.subarray(end < 0 ? output.length : end + 4));
}
