import { access } from 'node:fs/promises';
import { ForgeError } from '#adapters/forge/forge.ts';
import { LlmError } from '#adapters/llm/llm.ts';
import { ConfigError, loadConfig } from '#core/config.ts';
import { SurfaceError } from '#core/conversations/surface.ts';
import { StoreError } from '#core/store/errors.ts';
import { createLogger } from '#observability/log.ts';
import { createRedactor } from '#observability/redact.ts';
import { env } from './index.ts';
import { runService } from './service.ts';

const USAGE = `comio              starts the service
comio backup FILE  writes everything in the database to FILE
comio restore FILE fills a new, empty database from FILE
`;

async function main([command = 'start', file]: string[]): Promise<number> {
  if (['help', '--help', '-h'].includes(command)) {
    process.stdout.write(USAGE);
    return 0;
  }
  const config = loadConfig(env);
  const redact = createRedactor(config.secrets);
  const log = createLogger(config.LOG_LEVEL, redact);
  const store = { url: config.DATABASE_URL, dataDir: config.COMIO_DATA_DIR, log };
  if (command === 'start') await runService(config, log, redact);
  else if (command === 'backup' && file) {
    const [{ backup }, { openDatabase }] = await Promise.all([
      import('#core/store/backup.ts'),
      import('#core/store/database.ts'),
    ]);
    await using database = await openDatabase(store);
    await backup(database, file);
    process.stdout.write(`Wrote ${file}\n`);
  } else if (command === 'restore' && file) {
    const { restore } = await import('#core/store/backup.ts');
    await access(file);
    await restore(store, file);
    process.stdout.write(`Restored ${file}\n`);
  } else {
    process.stderr.write(USAGE);
    return 2;
  }
  return 0;
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  // What the operator can mend is said in words; anything else is a bug and shows where.
  if (!isMendable(error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(2);
}

function isMendable(error: unknown): error is Error {
  const ports = [ConfigError, StoreError, SurfaceError, ForgeError, LlmError];
  if (ports.some((known) => error instanceof known)) return true;
  // The address is taken, or the file named cannot be opened.
  return (
    error instanceof Error &&
    'syscall' in error &&
    ['listen', 'open', 'access'].includes(String(error.syscall))
  );
}
