import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * A lock between processes of one host, held by listening on a socket in Linux's abstract namespace: the kernel
 * releases it with the process, however that ends. Waiters are told by the end of their connection.
 */
export async function withProcessLock<T>(
  name: string,
  options: { onWait: () => void; signal?: AbortSignal | undefined },
  work: () => Promise<T>,
): Promise<T> {
  const path = `\0comio-${createHash('sha256').update(name).digest('hex')}`;
  for (let waited = false; ; waited = true) {
    options.signal?.throwIfAborted();
    const server = createServer((socket) => socket.on('error', () => socket.destroy()).resume());
    const sockets = new Set<{ destroy(): void }>();
    server.on('connection', (socket) => sockets.add(socket));
    const held = Promise.withResolvers<boolean>();
    server.once('error', () => held.resolve(false));
    server.listen(path, () => held.resolve(true));
    if (await held.promise) {
      try {
        return await work();
      } finally {
        for (const socket of sockets) socket.destroy();
        server.close();
        await once(server, 'close');
      }
    }
    if (!waited) options.onWait();
    await ended(path, options.signal);
  }
}

/** Resolves when whoever listens at `path` is gone (or was before we asked). */
function ended(path: string, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const done = () => {
      signal?.removeEventListener('abort', done);
      socket.destroy();
      resolve();
    };
    signal?.addEventListener('abort', done);
    if (signal?.aborted) done();
    socket.on('error', done).on('close', done).resume();
  });
}
