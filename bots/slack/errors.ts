import { webApi } from '@slack/bolt';
import { SurfaceError, type SurfaceErrorCode } from '#core/conversations/surface.ts';

/** Slack's own words (https://docs.slack.dev/reference/methods) that are more than "invalid". */
const CODES: Readonly<Record<string, SurfaceErrorCode>> = {
  message_not_found: 'gone',
  thread_not_found: 'gone',
  edit_window_closed: 'gone',
  cant_update_message: 'gone',
  ratelimited: 'rate_limited',
  rate_limited: 'rate_limited',
  message_limit_exceeded: 'rate_limited',
  account_inactive: 'forbidden',
  access_denied: 'forbidden',
  channel_not_found: 'forbidden',
  ekm_access_denied: 'forbidden',
  invalid_auth: 'forbidden',
  is_archived: 'forbidden',
  missing_scope: 'forbidden',
  no_permission: 'forbidden',
  not_allowed_token_type: 'forbidden',
  not_authed: 'forbidden',
  not_in_channel: 'forbidden',
  restricted_action: 'forbidden',
  restricted_action_read_only_channel: 'forbidden',
  restricted_action_thread_only_channel: 'forbidden',
  team_access_not_granted: 'forbidden',
  token_expired: 'forbidden',
  token_revoked: 'forbidden',
  fatal_error: 'unavailable',
  internal_error: 'unavailable',
  request_timeout: 'unavailable',
  service_unavailable: 'unavailable',
  team_added_to_org: 'unavailable',
};

/** The `error` of an answer with `ok: false`; undefined for any other failure. */
export const refusal = (error: unknown): string | undefined =>
  error instanceof webApi.WebAPIPlatformError ? error.data.error : undefined;

/** Any failure of a call to Slack as the port's error. */
export function toSurfaceError(error: unknown, doing: string): SurfaceError {
  if (error instanceof SurfaceError) return error;
  const fail = (code: SurfaceErrorCode, why: string, retryAfterMs?: number) =>
    new SurfaceError(code, `Slack, ${doing}: ${why}`, { cause: error, retryAfterMs });
  if (error instanceof webApi.WebAPIRateLimitedError)
    return fail('rate_limited', 'too many requests', error.retryAfter * 1000);
  if (error instanceof webApi.WebAPIPlatformError) {
    const { error: word, response_metadata: metadata } = error.data;
    const needed = 'needed' in error.data ? [`needs ${error.data.needed}`] : [];
    return fail(CODES[word] ?? 'invalid', [word, ...needed, ...(metadata?.messages ?? [])].join(', '));
  }
  if (error instanceof webApi.WebAPIHTTPError)
    return fail(error.statusCode >= 500 ? 'unavailable' : 'invalid', `HTTP ${error.statusCode}`);
  return fail('unavailable', error instanceof Error ? error.message : String(error));
}
