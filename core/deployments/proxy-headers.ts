import type { IncomingMessage } from 'node:http';

/** They are about one connection, not about the message: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
/** What only we say to the app. */
const OURS = new Set([
  'host',
  'expect',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
]);

export type RawHeaders = string[];

/** Name and value in turn, without those of the connection and those it names as its own. */
export function endToEnd(message: IncomingMessage, without: ReadonlySet<string> = new Set()): RawHeaders {
  const named = (message.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  const { rawHeaders } = message;
  const kept: RawHeaders = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || without.has(lower)) continue;
    // Whoever names the length as a matter of the connection would make two of one message.
    if (named.includes(lower) && lower !== 'content-length') continue;
    kept.push(name, rawHeaders[at + 1] ?? '');
  }
  return kept;
}

/** Of an early hint only these are passed on: https://www.rfc-editor.org/rfc/rfc8297#section-2. */
export const linksOf = (rawHeaders: readonly string[]): RawHeaders =>
  rawHeaders.flatMap((name, at) =>
    at % 2 === 0 && name.toLowerCase() === 'link' ? [name, rawHeaders[at + 1] ?? ''] : [],
  );

/**
 * What the app is told: the request's own headers, who asked, and how its body is framed. Node's parser has refused
 * what names both a length and an encoding.
 */
export function requestHeaders(request: IncomingMessage, scheme: string): RawHeaders {
  const { host = '', 'x-forwarded-for': before } = request.headers;
  const from = request.socket.remoteAddress ?? '';
  const headers = endToEnd(request, OURS);
  headers.push('Host', host);
  headers.push('X-Forwarded-For', [before, from].flat().filter(Boolean).join(', '));
  headers.push('X-Forwarded-Host', host);
  headers.push('X-Forwarded-Proto', scheme);
  if (request.headers['transfer-encoding'] !== undefined) headers.push('Transfer-Encoding', 'chunked');
  return headers;
}

export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
