import Docker from 'dockerode';
import { SandboxError } from './sandbox.ts';

const DEFAULT_SOCKET = '/var/run/docker.sock';

/** `host` as in DOCKER_HOST: unix:///path, tcp://host:port or http(s)://host:port. Default: the local socket. */
export function createDockerClient(host: string | undefined): Docker {
  if (host === undefined) return new Docker({ socketPath: DEFAULT_SOCKET });
  if (host.startsWith('unix://')) return new Docker({ socketPath: host.slice('unix://'.length) });
  const url = URL.parse(host);
  if (url === null || !['tcp:', 'http:', 'https:'].includes(url.protocol)) {
    throw new SandboxError('driver_unavailable', `Not an address of a Docker daemon: ${host}`);
  }
  const protocol = url.protocol === 'https:' ? 'https' : 'http';
  return new Docker({ protocol, host: url.hostname, port: url.port || (protocol === 'https' ? 2376 : 2375) });
}

/** Whether `error` is the daemon's answer with this HTTP status. */
export const hasStatus = (error: unknown, ...statuses: number[]): boolean =>
  error instanceof Error &&
  'statusCode' in error &&
  typeof error.statusCode === 'number' &&
  statuses.includes(error.statusCode);

const UNREACHABLE = new Set(['ECONNREFUSED', 'ENOENT', 'EACCES', 'ENOTFOUND', 'ETIMEDOUT', 'EHOSTUNREACH']);

/** Runs `work`; what the daemon or its absence throws becomes `driver_unavailable` or `otherwise`. */
export async function withDaemon<T>(
  otherwise: 'create_failed' | 'io_failed',
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SandboxError || !(error instanceof Error) || error.name === 'AbortError')
      throw error;
    const unreachable = 'code' in error && typeof error.code === 'string' && UNREACHABLE.has(error.code);
    if (unreachable) {
      throw new SandboxError('driver_unavailable', `No Docker daemon answers: ${error.message}`, {
        cause: error,
      });
    }
    if ('statusCode' in error) {
      throw new SandboxError(otherwise, `Docker: ${error.message}`, { cause: error });
    }
    throw error;
  }
}
