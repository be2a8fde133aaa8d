import { LlmError, type LlmErrorCode } from '../llm.ts';

/** What a vendor's answer says about a failure, in the vendor's own terms. */
export interface Failure {
  /** The vendor's name as people know it. */
  vendor: string;
  model: string;
  code: LlmErrorCode;
  headers?: Headers | undefined;
  cause?: unknown;
  /** The vendor's explanation; shown for `bad_request` only, since nothing else in it is for people. */
  detail?: string | null | undefined;
  /** Taken out of `detail` should the vendor echo it. */
  apiKey?: string | undefined;
}

/** HTTP statuses mean the same at every vendor; where one has a finer code, the provider looks at it first. */
export function codeOfStatus(status: number): LlmErrorCode {
  if (status === 401 || status === 402 || status === 403) return 'auth';
  if (status === 404) return 'unknown_model';
  if (status === 413) return 'context_overflow';
  if (status === 429) return 'rate_limited';
  if (status === 503 || status === 529) return 'overloaded';
  if (status === 408 || status === 409 || status >= 500) return 'unavailable';
  return 'bad_request';
}

export function llmError(failure: Failure): LlmError {
  return new LlmError(failure.code, sentence(failure), {
    cause: failure.cause,
    retryAfterMs: failure.headers === undefined ? undefined : retryAfterMs(failure.headers),
  });
}

function sentence({ vendor, model, code, detail, apiKey }: Failure): string {
  switch (code) {
    case 'aborted':
      return `The request to ${vendor} was stopped.`;
    case 'auth':
      return `${vendor} refused the key or the account behind it; check the key, its permissions and the credit.`;
    case 'rate_limited':
      return `${vendor} is limiting how often this account may ask; try again later.`;
    case 'overloaded':
      return `${vendor} is overloaded; try again in a moment.`;
    case 'context_overflow':
      return `The conversation is too long for ${model}; start a new one or choose a model that takes more.`;
    case 'unknown_model':
      return `${vendor} knows no model "${model}" for this account; set LLM_MODEL to one it offers.`;
    case 'bad_request':
      return `${vendor} did not accept the request${detail ? `: ${shown(detail, apiKey)}` : '.'}`;
    case 'unavailable':
      return `${vendor} could not be reached or failed; try again in a moment.`;
    case 'cut_off':
      return `${vendor} ended its answer before it was complete.`;
    case 'malformed':
      return `${vendor} sent an answer that cannot be read.`;
    case 'empty_answer':
      return `${vendor} answered with nothing.`;
  }
}

const shown = (detail: string, apiKey: string | undefined) =>
  (apiKey ? detail.replaceAll(apiKey, '[redacted]') : detail).replace(/\s+/g, ' ').slice(0, 300);

/** Retry-After is seconds or a date (RFC 9110, 10.2.3); `retry-after-ms` is what OpenAI and Anthropic add. */
function retryAfterMs(headers: Headers): number | undefined {
  const exact = Number(headers.get('retry-after-ms') ?? Number.NaN);
  if (Number.isFinite(exact)) return Math.max(0, exact);
  const value = headers.get('retry-after');
  if (value === null) return undefined;
  const seconds = Number(value);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
