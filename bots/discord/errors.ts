import {
  DiscordAPIError,
  DiscordjsError,
  DiscordjsErrorCodes,
  HTTPError,
  RateLimitError,
  RESTJSONErrorCodes,
} from 'discord.js';
import { SurfaceError, type SurfaceErrorCode } from '#core/conversations/surface.ts';
import { madeAt } from './address.ts';

const HOUR_MS = 3_600_000;

/** Whether Discord refused with one of these of its own error codes. */
export const refusedWith = (error: unknown, ...codes: RESTJSONErrorCodes[]): boolean =>
  error instanceof DiscordAPIError && codes.some((code) => code === error.code);

/**
 * Whether this request edits a message older than an hour. Discord lets few of those through and refuses the rest
 * with 429 and code 30046; discord.js keeps no code of a 429, so the message's age tells them from other limits.
 */
export function isOldEdit(request: { method: string; url: string }): boolean {
  const id = /\/messages\/(\d+)$/.exec(request.url)?.[1];
  return request.method.toUpperCase() === 'PATCH' && id !== undefined && Date.now() - madeAt(id) > HOUR_MS;
}

/** Milliseconds: of a bucket that is empty, or what a refusal asks for; discord.js knows one or the other. */
export const waitOf = (limited: { timeToReset: number; retryAfter: number }): number =>
  Math.max(limited.timeToReset, limited.retryAfter);

/** Any failure of a call to Discord as the port's error. */
export function toSurfaceError(error: unknown, doing: string): SurfaceError {
  if (error instanceof SurfaceError) return error;
  const fail = (code: SurfaceErrorCode, why: string, retryAfterMs?: number) =>
    new SurfaceError(code, `Discord, ${doing}: ${why}`, { cause: error, retryAfterMs });
  if (error instanceof RateLimitError) {
    if (isOldEdit(error)) return fail('gone', 'the message is too old to edit');
    return fail('rate_limited', 'too many requests', waitOf(error));
  }
  if (error instanceof DiscordAPIError) return fail(codeOf(error), `${error.message} (${error.code})`);
  if (error instanceof DiscordjsError && error.code === DiscordjsErrorCodes.TokenInvalid) {
    return fail('forbidden', 'DISCORD_TOKEN is not a valid bot token');
  }
  if (error instanceof HTTPError) return fail('unavailable', `HTTP ${error.status}`);
  return fail('unavailable', error instanceof Error ? error.message : String(error));
}

function codeOf(error: DiscordAPIError): SurfaceErrorCode {
  switch (error.code) {
    case RESTJSONErrorCodes.UnknownChannel:
    case RESTJSONErrorCodes.UnknownMessage:
    case RESTJSONErrorCodes.MaximumNumberOfEditsToMessagesOlderThanOneHourReached:
    // An archived thread refuses edits and reactions; posting in it opens it again.
    case RESTJSONErrorCodes.InvalidActionOnArchivedThread:
      return 'gone';
  }
  if (error.status === 401 || error.status === 403) return 'forbidden';
  return error.status >= 500 ? 'unavailable' : 'invalid';
}
