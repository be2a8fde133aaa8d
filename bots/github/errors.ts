import { githubFailure } from '#adapters/forge/github-failure.ts';
import { SurfaceError } from '#core/conversations/surface.ts';

/** Any failure of a call to GitHub as the port's error. */
export function toSurfaceError(error: unknown, doing: string): SurfaceError {
  if (error instanceof SurfaceError) return error;
  const { kind, said, retryAfterMs } = githubFailure(error);
  const message = `GitHub, ${doing}: ${said}`;
  switch (kind) {
    case 'rate_limited':
      return new SurfaceError('rate_limited', message, { cause: error, retryAfterMs });
    case 'missing':
      return new SurfaceError('gone', message, { cause: error });
    case 'credentials':
    case 'forbidden':
      return new SurfaceError('forbidden', message, { cause: error });
    case 'conflict':
    case 'invalid':
      return new SurfaceError('invalid', message, { cause: error });
    case 'unavailable':
      return new SurfaceError('unavailable', message, { cause: error });
  }
}
