import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { describe, expect, it } from 'vitest';
import { MetricsError } from '#adapters/queries/metrics-source.ts';
import { createPrometheus, env } from '#adapters/queries/prometheus.ts';
import { type KnownSeries, metricsSourceContract } from '../../contracts/metrics-source.ts';
import { startBackfilledPrometheus } from './backfilled-prometheus.ts';

/** https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md */
const openMetrics = (series: readonly KnownSeries[]): string => {
  const lines = [...Map.groupBy(series, ({ name }) => name)].flatMap(([name, all]) => [
    `# TYPE ${name} gauge`,
    ...all.flatMap(({ labels, points }) => {
      const inside = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
      return points.map(({ t, v }) => `${name}{${inside.join(',')}} ${spell(v)} ${t / 1000}`);
    }),
  ]);
  return `${[...lines, '# EOF'].join('\n')}\n`;
};
const spell = (v: number): string => (v === Number.POSITIVE_INFINITY ? '+Inf' : String(v));

metricsSourceContract('prometheus', async (series) => {
  const { url, ...held } = await startBackfilledPrometheus(openMetrics(series));
  return { source: createPrometheus({ url }), ...held };
});

/** Something that answers as told. */
async function answering(listener: RequestListener): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const failure = async (work: Promise<unknown>): Promise<MetricsError> => {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MetricsError);
  return error as MetricsError;
};

describe('prometheus over a bad line', () => {
  it('sends the token, and not to another address', async () => {
    const seen: (string | undefined)[] = [];
    await using elsewhere = await answering((request, response) => {
      seen.push(`elsewhere ${request.headers.authorization}`);
      response.end('{}');
    });
    await using server = await answering((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(307, { location: elsewhere.url }).end();
    });
    const source = createPrometheus({ url: server.url, token: 'hush' });
    expect((await failure(source.instant('up'))).code).toBe('unavailable');
    expect(seen).toEqual(['Bearer hush']);
  });

  it('keeps a path before the API', async () => {
    const seen: (string | undefined)[] = [];
    await using server = await answering((request, response) => {
      seen.push(request.url);
      response.end('{"status":"success","data":{"resultType":"vector","result":[]}}');
    });
    expect(await createPrometheus({ url: `${server.url}/prometheus/` }).instant('up')).toEqual([]);
    expect(seen).toEqual(['/prometheus/api/v1/query']);
  });

  it('says that it cannot be asked when nobody listens, hangs, or speaks another language', async () => {
    const gone = await answering(() => {});
    await gone[Symbol.asyncDispose]();
    const nobody = await failure(createPrometheus({ url: gone.url }).instant('up'));
    expect(nobody).toMatchObject({ code: 'unavailable', message: expect.stringContaining('ECONNREFUSED') });

    await using silent = await answering(() => {});
    const hung = await failure(createPrometheus({ url: silent.url, timeoutMs: 50 }).instant('up'));
    expect(hung).toMatchObject({ code: 'unavailable', message: expect.stringContaining('50 ms') });

    await using page = await answering((_, response) =>
      response.writeHead(502).end('<html>Bad gateway</html>'),
    );
    const html = await failure(createPrometheus({ url: page.url }).instant('up'));
    expect(html).toMatchObject({ code: 'unavailable', message: expect.stringContaining('502') });
  });

  it('tells a query that cannot be worked out from a server that is busy', async () => {
    const say = (errorType: string) =>
      answering((_, response) =>
        response.writeHead(503).end(JSON.stringify({ status: 'error', errorType, error: 'why' })),
      );
    await using execution = await say('execution');
    await using busy = await say('timeout');
    expect((await failure(createPrometheus(execution).instant('up'))).code).toBe('bad_query');
    expect((await failure(createPrometheus(busy).instant('up'))).code).toBe('unavailable');
  });

  it('reads no endless answer', async () => {
    let ended = false;
    await using server = await answering((request, response) => {
      const more = () => {
        while (!ended && response.write('x'.repeat(1 << 20)));
      };
      response.on('drain', more);
      request.socket.on('close', () => {
        ended = true;
      });
      more();
    });
    expect((await failure(createPrometheus(server).instant('up'))).code).toBe('too_large');
    await expect.poll(() => ended).toBe(true);
  });

  it('takes no password in its address, which would end up in logs', () => {
    const { schema } = env.PROMETHEUS_URL;
    expect(schema.safeParse('https://prometheus.example:9090/x').success).toBe(true);
    expect(schema.safeParse('https://me:secret@prometheus.example').success).toBe(false);
    expect(schema.safeParse('file:///etc/passwd').success).toBe(false);
  });
});
