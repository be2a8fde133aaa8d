import { unescape as decode } from 'node:querystring';
import { z } from 'zod';
import { env as eventsEnv } from '#adapters/events/index.ts';
import { env as forgeEnv } from '#adapters/forge/index.ts';
import { env as providersEnv } from '#adapters/llm/providers/index.ts';
import { env as queriesEnv } from '#adapters/queries/index.ts';
import { env as pricesEnv } from '#observability/model-prices.ts';
import { env as tracingEnv } from '#observability/tracing.ts';
import { env as deploymentsEnv } from './deployments/env.ts';
import { env as alertsEnv } from './incidents/alerts-settings.ts';
import { env as incidentEnv } from './incidents/incident-settings.ts';
import { env as monitorEnv } from './incidents/monitor-settings.ts';
import { env as remediationEnv } from './incidents/remediation-settings.ts';
import { env as policyEnv } from './policy/denied-paths.ts';

/**
 * One setting. Parts declare theirs as data (`export const env = { NAME: { schema, help, secret? } }`); this file
 * alone reads the environment.
 */
export interface Setting {
  schema: z.ZodType;
  /** One line for the README's table and for error messages. */
  help: string;
  /** Its value is redacted from everything that leaves the service. */
  secret?: boolean | undefined;
}
export type EnvSpec = Record<string, Setting>;
export type EnvOf<Spec extends EnvSpec> = { readonly [K in keyof Spec]: z.output<Spec[K]['schema']> };

const number = (fallback: number, min: number, max: number) =>
  z.coerce
    .number({ error: `must be a number from ${min} to ${max}` })
    .int({ error: 'must be a whole number' })
    .min(min)
    .max(max)
    .default(fallback);

export const coreEnv = {
  COMIO_DATA_DIR: {
    schema: z.string().default('.comio'),
    help: 'Directory of the embedded database and of repository mirrors.',
  },
  HOST: { schema: z.string().default('127.0.0.1'), help: 'Address the server listens on.' },
  PORT: { schema: number(3000, 0, 65_535), help: 'Port the server listens on; 0 picks a free one.' },
  PUBLIC_URL: {
    schema: z.url().optional(),
    help: 'Where the outside world reaches this server (webhooks, setup links).',
  },
  DATABASE_URL: {
    schema: z.string().startsWith('postgres').optional(),
    secret: true,
    help: 'PostgreSQL with pgvector; unset: the embedded database in COMIO_DATA_DIR.',
  },
  LOG_LEVEL: {
    schema: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
    help: 'debug, info, warn, error or silent.',
  },
  WORKERS: { schema: number(8, 1, 200), help: 'Runs this process works on at once.' },
  MAX_STEPS: {
    schema: number(80, 1, 1000),
    help: 'Model calls a turn may make before it stops and says so.',
  },
  DOCKER_HOST: {
    schema: z.string().optional(),
    help: 'Docker daemon for sandboxes; unset: the local socket.',
  },
  SANDBOX_MEMORY_MB: { schema: number(2048, 64, 1_048_576), help: 'Memory of a sandbox in MiB.' },
  SANDBOX_CPUS: { schema: z.coerce.number().min(0.1).max(64).default(2), help: 'CPU cores of a sandbox.' },
  SANDBOX_PIDS: {
    schema: number(512, 16, 100_000),
    help: 'Processes and threads alive at once in a sandbox.',
  },
  SANDBOX_IDLE_MINUTES: {
    schema: number(30, 1, 10_080),
    help: 'Minutes after its last turn that a sandbox is stopped; its files stay.',
  },
  SANDBOX_NETWORK: {
    schema: z.enum(['none', 'bridge']).default('none'),
    help: '`none`: no network inside. `bridge`: whatever the host reaches.',
  },
} satisfies EnvSpec;

const spec = {
  ...coreEnv,
  ...providersEnv,
  ...forgeEnv,
  ...deploymentsEnv,
  ...queriesEnv,
  ...monitorEnv,
  ...eventsEnv,
  ...alertsEnv,
  ...incidentEnv,
  ...remediationEnv,
  ...policyEnv,
  ...pricesEnv,
  ...tracingEnv,
};

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(
      `The configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${problems.map((p) => `  ${p}`).join('\n')}`,
    );
    this.problems = problems;
  }
}

export type Config<Extra extends EnvSpec = Record<never, Setting>> = EnvOf<typeof spec> &
  EnvOf<Extra> & {
    /** Every secret value that was set: what the redactor hides. */
    readonly secrets: readonly string[];
  };

/**
 * Reads and validates the environment, `extra` being the settings of the surfaces (core may not import them). Throws
 * one {@link ConfigError} that names every problem. An empty variable counts as unset.
 */
export function loadConfig<Extra extends EnvSpec>(
  extra: Extra,
  environment: Record<string, string | undefined> = process.env,
): Config<Extra> {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  const secrets: string[] = [];
  for (const [name, setting] of Object.entries<Setting>({ ...spec, ...extra })) {
    const raw = environment[name] || undefined;
    const parsed = setting.schema.safeParse(raw);
    if (!parsed.success) {
      const why = parsed.error.issues.map((issue) => issue.message).join('; ');
      problems.push(`${name}: ${why} (${setting.help})`);
      continue;
    }
    values[name] = parsed.data;
    if (setting.secret && raw) secrets.push(...valuesOf(raw, parsed.data));
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze({ ...values, secrets: Object.freeze(secrets) }) as Config<Extra>;
}

/** As it was set, as it is used (a key with its line breaks), and the password within an address. */
function valuesOf(raw: string, parsed: unknown): string[] {
  const { password = '' } = URL.parse(raw) ?? {};
  const values = [raw, parsed, password, decode(password)];
  return [...new Set(values.filter((value) => typeof value === 'string' && value !== ''))] as string[];
}

/** The whole table, for documentation and its test. */
export const settingsOf = (extra: EnvSpec): EnvSpec => ({ ...spec, ...extra });
