/** Thrown by a handler: becomes the answer `{ "error": message }` with this status. */
export class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const MAX_BODY_BYTES = 100_000;

/**
 * Routes are `{ method, path, handle, quiet? }`; in a path `:name` stands for anything. `answered` is told about every
 * request that is not quiet, before its answer is sent; `error` is there when something went wrong that is ours.
 */
export function createListener(routes, { answered }) {
  return async (request, response) => {
    const started = performance.now();
    const { method } = request;
    const exchange = { method, route: 'unknown', status: 500, order: undefined, error: undefined };
    let result;
    let quiet = false;
    try {
      const url = new URL(request.url, 'http://shop');
      const { route, params } = find(routes, method, url.pathname);
      exchange.route = route.path;
      quiet = route.quiet === true;
      result = await route.handle({
        params,
        query: url.searchParams,
        body: await readJson(request),
        exchange,
      });
    } catch (error) {
      const known = error instanceof HttpError;
      result = {
        status: known ? error.status : 500,
        body: { error: known ? error.message : 'Something went wrong' },
      };
      if (!known) exchange.error = error;
    }
    exchange.status = result.status;
    if (!quiet) answered({ ...exchange, ms: performance.now() - started });
    const json = result.text === undefined;
    response.writeHead(result.status, {
      'content-type': json ? 'application/json' : 'text/plain; version=0.0.4',
    });
    response.end(json ? JSON.stringify(result.body) : result.text);
  };
}

function find(routes, method, path) {
  const matching = routes.flatMap((route) => {
    const params = match(route.path, path);
    return params ? [{ route, params }] : [];
  });
  if (matching.length === 0) throw new HttpError(404, 'There is no such path');
  const found = matching.find(({ route }) => route.method === method);
  if (!found) throw new HttpError(405, `${method} is not possible here`);
  return found;
}

function match(pattern, path) {
  const expected = pattern.split('/');
  const actual = path.split('/');
  if (expected.length !== actual.length) return undefined;
  const params = {};
  for (const [index, part] of expected.entries()) {
    if (part.startsWith(':')) params[part.slice(1)] = actual[index];
    else if (part !== actual[index]) return undefined;
  }
  return params;
}

/** undefined when there is no body. */
async function readJson(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MAX_BODY_BYTES) throw new HttpError(413, 'The body is too large');
  }
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new HttpError(400, 'The body is not valid JSON');
  }
}
