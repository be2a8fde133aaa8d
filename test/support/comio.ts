import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Forge } from '#adapters/forge/forge.ts';
import type { MetricsSource } from '#adapters/queries/metrics-source.ts';
import { createMemoryTarget } from '#adapters/targets/memory.ts';
import type { Target } from '#adapters/targets/target.ts';
import { type Comio, createComio } from '#core/comio.ts';
import { loadConfig } from '#core/config.ts';
import type { Role } from '#core/conversations/surface.ts';
import type { Database } from '#core/store/database.ts';
import { createLogger, type Logger } from '#observability/log.ts';
import { createRedactor } from '#observability/redact.ts';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import type { Sandbox, SandboxDriver } from '#sandbox/sandbox.ts';
import { openTestDatabase, type StoreKind } from './database.ts';
import { createMemorySurface, type MemorySurface } from './memory-surface.ts';

export interface TestComio extends AsyncDisposable {
  comio: Comio;
  chat: MemorySurface;
  dataDir: string;
  db: Database['db'];
}

/** A whole Comio in this process over the memory driver, an in-memory chat and a scripted model. */
export async function testComio(options: {
  script: unknown;
  forge?: Forge | undefined;
  /** Default: host processes. */
  target?: Target | undefined;
  series?: MetricsSource | undefined;
  /** Default: PostgreSQL, where a database of one's own costs a fraction of a second. */
  database?: StoreKind;
  roles?: Record<string, Role>;
  /** Around the memory driver's sandboxes. */
  wrap?: (sandbox: Sandbox) => Sandbox;
  /** Further settings. */
  env?: Record<string, string>;
  log?: Logger;
}): Promise<TestComio> {
  await using building = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'comio-test-'));
  building.defer(() => rm(dataDir, { recursive: true, force: true }));
  const scriptFile = join(dataDir, 'script.json');
  await writeFile(scriptFile, JSON.stringify(options.script));
  const config = loadConfig(
    {},
    {
      COMIO_DATA_DIR: dataDir,
      LLM_SCRIPT: scriptFile,
      LOG_LEVEL: 'warn',
      ...options.env,
    },
  );
  const database = building.use(await openTestDatabase(options.database ?? 'postgres'));
  const memory = building.use(createMemoryDriver());
  const { wrap = (sandbox: Sandbox) => sandbox } = options;
  const driver: SandboxDriver = {
    ...memory,
    create: async (...given) => wrap(await memory.create(...given)),
    async open(id) {
      const found = await memory.open(id);
      return found && wrap(found);
    },
  };
  const { surface, connect } = createMemorySurface(options.roles);
  const comio = building.use(
    await createComio({
      config,
      log: options.log ?? createLogger(config.LOG_LEVEL),
      redact: createRedactor(config.secrets),
      database,
      driver,
      forge: options.forge,
      series: options.series,
      target: options.target ?? building.use(createMemoryTarget()),
    }),
  );
  connect(comio.receive);
  await comio.start([surface]);
  const held = building.move();
  return { comio, chat: surface, dataDir, db: database.db, [Symbol.asyncDispose]: () => held.disposeAsync() };
}
