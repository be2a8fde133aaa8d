import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createGitHttp } from '#test/peers/git-http.ts';

const run = promisify(execFile);

export interface GitServer extends AsyncDisposable {
  /** Of a repository made here, bare and empty. */
  create(name: string): Promise<{ url: string; directory: string }>;
  /** git in a bare repository of the server; what it printed. */
  git(directory: string, ...argv: string[]): Promise<string>;
  credentials: { username: string; password: string };
  /** Every request as it came. */
  requests: { path: string; authorization: string | undefined }[];
  /** Called before each request is served. */
  onRequest: ((request: IncomingMessage) => Promise<void>) | undefined;
}

/** Real git over HTTP that wants a password, for everything or (`publicRead`) for pushes alone. */
export async function createGitServer(options: { publicRead?: boolean } = {}): Promise<GitServer> {
  const root = await mkdtemp(join(tmpdir(), 'comio-git-server-'));
  const credentials = { username: 'x-access-token', password: 'ghs_canary0123456789' };
  const handle = createGitHttp({
    root,
    authorize(access, given) {
      if (options.publicRead && !access.write) return 'ok';
      return given?.password === credentials.password ? 'ok' : 'unauthorized';
    },
    onPush: () => undefined,
  });
  const requests: GitServer['requests'] = [];
  const server = createServer(async (request, response) => {
    requests.push({ path: request.url ?? '', authorization: request.headers.authorization });
    await gitServer.onRequest?.(request);
    if (!(await handle(request, response))) response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  const gitServer: GitServer = {
    credentials,
    requests,
    onRequest: undefined,
    async create(name) {
      const directory = join(root, 'acme', `${name}.git`);
      await mkdir(directory, { recursive: true });
      await run('git', ['init', '-q', '--bare', '-b', 'main', directory]);
      return { url: `http://127.0.0.1:${port}/acme/${name}.git`, directory };
    },
    async git(directory, ...argv) {
      const { stdout } = await run('git', [
        '-c',
        'user.name=T',
        '-c',
        'user.email=t@t',
        '-C',
        directory,
        ...argv,
      ]);
      return stdout.trim();
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(root, { recursive: true, force: true });
    },
  };
  return gitServer;
}
