import type { RequestListener } from 'node:http';
import { HttpError, readJson, sendJson } from './http.ts';

export interface Context {
  /** The parts of the path that stand for `:name`. */
  params: Record<string, string>;
  query: URLSearchParams;
  /** Parsed JSON; undefined when there was no body. */
  body: unknown;
}

export interface Result {
  status: number;
  body?: unknown;
}

export interface Route {
  method: string;
  /** `/items/:id`: a part that begins with a colon matches anything. */
  path: string;
  handle(context: Context): Result | Promise<Result>;
}

export function createRouter(routes: Route[]): RequestListener {
  return async (request, response) => {
    try {
      const url = new URL(request.url ?? '/', 'http://localhost');
      const matching = routes.flatMap((route) => {
        const params = match(route.path, url.pathname);
        return params ? [{ route, params }] : [];
      });
      if (matching.length === 0) throw new HttpError(404, 'There is no such path');
      const chosen = matching.find(({ route }) => route.method === request.method);
      if (!chosen) throw new HttpError(405, `${request.method} is not possible here`);
      const body = await readJson(request);
      const result = await chosen.route.handle({ params: chosen.params, query: url.searchParams, body });
      sendJson(response, result.status, result.body);
    } catch (error) {
      if (error instanceof HttpError) {
        sendJson(response, error.status, { error: error.message });
        return;
      }
      console.error(error);
      sendJson(response, 500, { error: 'Something went wrong' });
    }
  };
}

function match(pattern: string, path: string): Record<string, string> | undefined {
  const expected = pattern.split('/');
  const actual = path.split('/');
  if (expected.length !== actual.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of expected.entries()) {
    const value = actual[index] ?? '';
    if (part.startsWith(':') && value !== '') params[part.slice(1)] = decode(value);
    else if (part !== value) return undefined;
  }
  return params;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new HttpError(400, 'The path is not encoded correctly');
  }
}
