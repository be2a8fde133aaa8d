import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { postgresServer } from './postgres.ts';
import { POSTGRES_IMAGE, POSTGRES_MAJOR } from './postgres-image.ts';

/**
 * Puts `pg_dump` and `pg_restore` of the server's own version into `directory`, for a PATH: this machine may have
 * none, or older ones, which refuse a newer server. With POSTGRES_TEST_URL they must be on the PATH already.
 */
export const installPostgresTools = async (directory: string): Promise<void> => {
  if (process.env.POSTGRES_TEST_URL) return;
  // The image is there once the server runs.
  await postgresServer();
  for (const tool of ['pg_dump', 'pg_restore'])
    await writeFile(
      join(directory, tool),
      `#!/bin/sh
exec docker run --rm --network host --volume '${tmpdir()}:${tmpdir()}' ${POSTGRES_IMAGE} /usr/lib/postgresql/${POSTGRES_MAJOR}/bin/${tool} "$@"
`,
      { mode: 0o755 },
    );
};
