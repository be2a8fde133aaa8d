import { RequestError } from '@octokit/request-error';

/** What went wrong with a call to GitHub, told apart by status and headers only. */
export interface GitHubFailure {
  kind: 'credentials' | 'rate_limited' | 'forbidden' | 'missing' | 'conflict' | 'invalid' | 'unavailable';
  /** GitHub's own words, for a person; without them, the status. */
  said: string;
  /** Milliseconds until it is worth another try. */
  retryAfterMs?: number | undefined;
  /** "issues=write; pull_requests=write": what GitHub says it wanted. */
  wanted?: string | undefined;
}

/** https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api */
export function githubFailure(error: unknown, now: number = Date.now()): GitHubFailure {
  if (!(error instanceof RequestError))
    return { kind: 'unavailable', said: error instanceof Error ? error.message : String(error) };
  const { status, response } = error;
  // Octokit gives what never got an answer the status 500.
  if (!response) return { kind: 'unavailable', said: error.message };
  const said = wordsOf(response.data) ?? `HTTP ${status}`;
  const retryAfterMs = retryAfter(response.headers, now);
  if (status === 429 || (status === 403 && retryAfterMs !== undefined))
    return { kind: 'rate_limited', said, retryAfterMs: retryAfterMs ?? MINUTE_MS };
  if (status === 401) return { kind: 'credentials', said };
  if (status === 403) {
    const wanted = response.headers['x-accepted-github-permissions'];
    return { kind: 'forbidden', said, wanted: typeof wanted === 'string' ? wanted : undefined };
  }
  if (status === 404 || status === 410) return { kind: 'missing', said };
  if (status === 409) return { kind: 'conflict', said };
  if (status >= 500) return { kind: 'unavailable', said };
  return { kind: 'invalid', said };
}

/** What GitHub asks to wait where it says nothing else. */
const MINUTE_MS = 60_000;

function retryAfter(headers: Record<string, unknown>, now: number): number | undefined {
  const seconds = Number(headers['retry-after'] ?? Number.NaN);
  if (Number.isFinite(seconds)) return seconds * 1000;
  if (String(headers['x-ratelimit-remaining']) !== '0') return undefined;
  const reset = Number(headers['x-ratelimit-reset'] ?? Number.NaN);
  return Number.isFinite(reset) ? Math.max(1000, reset * 1000 - now) : MINUTE_MS;
}

function wordsOf(data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null || !('message' in data)) return undefined;
  const errors = 'errors' in data && Array.isArray(data.errors) ? data.errors : [];
  const details = errors.flatMap((error: unknown) => {
    if (typeof error === 'string') return error;
    return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : [];
  });
  return [String(data.message), ...details].join(': ').slice(0, 500);
}
