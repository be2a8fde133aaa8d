import type { IncomingMessage } from 'node:http';

const SAID = {
  400: { title: 'Bad request', text: 'This request cannot be passed on.' },
  404: { title: 'Nothing here', text: 'No app has this name.' },
  502: { title: 'The app did not answer', text: 'It is live, but did not take or answer the request.' },
  503: { title: 'Nothing is live', text: 'No release of this app is live here yet.' },
  504: { title: 'The app is too slow', text: 'It did not begin its answer in time.' },
} as const;

export type ProxyStatus = keyof typeof SAID;

/** What we say ourselves where no app answers: to browsers a page, to programs JSON. Nothing in it is the asker's. */
export function proxyPage(
  request: IncomingMessage,
  status: ProxyStatus,
): { headers: Record<string, string>; body: string } {
  const { title, text } = SAID[status];
  const html = (request.headers.accept ?? '').includes('text/html');
  const body = html
    ? `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>body{font:16px/1.5 system-ui,sans-serif;margin:20vh auto;max-width:32em;padding:0 1em;color-scheme:light dark}</style><h1>${title}</h1><p>${text}</p></html>`
    : JSON.stringify({ error: title, detail: text });
  return {
    body,
    headers: {
      'content-type': html ? 'text/html; charset=utf-8' : 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'cache-control': 'no-store',
      ...(status === 503 ? { 'retry-after': '5' } : {}),
    },
  };
}
