import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SandboxError } from './sandbox.ts';

export interface GitCredentials {
  username: string;
  password: string;
}

export interface HostGitOptions {
  /** Bare repository. */
  directory: string;
  signal: AbortSignal;
  credentials?: GitCredentials | undefined;
  stdin?: Buffer | string | undefined;
  /** Exit codes that are answers. Default: 0. */
  ok?: readonly number[] | undefined;
  /** Past this many bytes of output git is ended: `git_failed`. Default: no bound. */
  maxBytes?: number | undefined;
}

export interface HostGitResult {
  exitCode: number;
  stdout: Buffer;
}

/** Nothing a repository, or a person's own configuration, says is run; only HTTP(S) is spoken. */
const CONFIG = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.askPass=',
  'credential.helper=',
  'protocol.allow=never',
  'protocol.http.allow=always',
  'protocol.https.allow=always',
  'submodule.recurse=false',
  'gc.autoDetach=false',
].flatMap((setting) => ['-c', setting]);

/**
 * The shell that starts git takes the secret as the first line of its input and puts it into git's environment:
 * so it is in no argument list, no file and no URL, and the rest of the input is git's.
 */
const WITH_SECRET = `
IFS= read -r header
if [ -n "$header" ]; then
  export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.extraHeader GIT_CONFIG_VALUE_0="$header"
else
  unset GIT_CONFIG_COUNT
fi
unset header GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_ASKPASS SSH_ASKPASS
export GIT_TERMINAL_PROMPT=0 GIT_NO_REPLACE_OBJECTS=1 LC_ALL=C.UTF-8
exec git "$@"`;

/** git on the core's own host. Throws `git_failed` with git's words, or the signal's reason. */
export async function hostGit(argv: readonly string[], options: HostGitOptions): Promise<HostGitResult> {
  options.signal.throwIfAborted();
  const child = spawn('sh', ['-c', WITH_SECRET, 'git', '--git-dir', options.directory, ...CONFIG, ...argv], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const killGroup = () => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL');
  options.signal.addEventListener('abort', killGroup);
  try {
    const chunks: Buffer[] = [];
    let said = '';
    let bytes = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > (options.maxBytes ?? Number.POSITIVE_INFINITY)) killGroup();
      else chunks.push(chunk);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000);
    });
    // git may end before it has read everything; its exit code tells whether that was right.
    child.stdin.on('error', () => undefined);
    child.stdin.write(`${authorization(options.credentials)}\n`);
    child.stdin.end(options.stdin);
    const [code] = await once(child, 'close');
    options.signal.throwIfAborted();
    if (options.maxBytes !== undefined && bytes > options.maxBytes)
      throw new SandboxError('git_failed', `git ${argv[0]}: more than ${options.maxBytes} bytes`);
    if (!(options.ok ?? [0]).includes(code)) {
      throw new SandboxError('git_failed', `git ${argv[0]}: ${said.trim() || `exit code ${code}`}`);
    }
    return { exitCode: code, stdout: Buffer.concat(chunks) };
  } finally {
    options.signal.removeEventListener('abort', killGroup);
  }
}

const authorization = (credentials: GitCredentials | undefined): string =>
  credentials === undefined
    ? ''
    : `Authorization: Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
