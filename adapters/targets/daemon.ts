import { TargetError, type TargetErrorCode } from './target.ts';

/** Whether `error` is the daemon's answer with one of these HTTP statuses. */
export const hasStatus = (error: unknown, ...statuses: number[]): boolean =>
  error instanceof Error &&
  'statusCode' in error &&
  typeof error.statusCode === 'number' &&
  statuses.includes(error.statusCode);

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EACCES',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EHOSTUNREACH',
]);

/**
 * Runs `work`; what the daemon or its absence throws becomes `otherwise` or `unavailable`. Once `signal` is aborted it
 * throws that one's reason, whatever the broken connection looked like.
 */
export async function withDaemon<T>(
  otherwise: TargetErrorCode,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof TargetError || !(cause instanceof Error)) throw cause;
    if ('statusCode' in cause && cause.statusCode !== undefined) {
      throw new TargetError(otherwise, `Docker: ${cause.message}`, { cause });
    }
    if ('code' in cause && typeof cause.code === 'string' && UNREACHABLE.has(cause.code)) {
      throw new TargetError('unavailable', `No Docker daemon answers: ${cause.message}`, { cause });
    }
    throw cause;
  }
}

/** What `work` resolves to, or undefined where the daemon answers with one of `statuses`. */
export async function unless<T>(statuses: readonly number[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (hasStatus(error, ...statuses)) return undefined;
    throw error;
  }
}
