import { createHash } from 'node:crypto';
import { resolve } from 'node:path';

/** Of what one installation deploys on a daemon that others use, too: what it knows of is in its database. */
export function namespaceOf({
  databaseUrl,
  dataDir,
}: {
  databaseUrl?: string | undefined;
  dataDir: string;
}): string {
  const { hostname, port, pathname } = new URL(databaseUrl ?? 'file:');
  const where = databaseUrl === undefined ? resolve(dataDir) : `${hostname}:${port}${pathname}`;
  return `comio-${createHash('sha256').update(where).digest('hex').slice(0, 8)}`;
}
