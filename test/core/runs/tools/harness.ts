import { createPathPolicy, type PathPolicy } from '#core/policy/denied-paths.ts';
import { parseToolInput } from '#core/runs/tools/definitions.ts';
import type { Fact, Tool, ToolContext, ToolResult } from '#core/runs/tools/tool.ts';
import { createMemoryDriver } from '#sandbox/drivers/memory.ts';
import type { Sandbox, SandboxDriver } from '#sandbox/sandbox.ts';
import { init } from '#sandbox/workspace-git.ts';
import { specFor, uniqueKey } from '#test/contracts/sandbox.ts';

export class Crash extends Error {
  override readonly name = 'Crash';
}

type Published = Extract<Fact, { type: 'publish' }>;

/** A sandbox with an empty repository, and a call of a tool as the run's loop makes it. */
export interface Workbench extends AsyncDisposable {
  sandbox: Sandbox;
  /** What `publish` of the context was asked, in order. */
  published: { title: string; body: string }[];
  /** Live output seen. */
  output: string[];
  sh(command: string): Promise<string>;
  text(path: string): Promise<string>;
  /** Input is checked against the tool's schema first, defaults included. */
  call(tool: Tool, input: unknown, options?: CallOptions): Promise<ToolResult>;
}

export interface CallOptions {
  key?: string;
  signal?: AbortSignal;
  sandbox?: Sandbox;
  /** What an interrupted execution of the same call recorded. */
  previous?: unknown;
  record?: (note: unknown) => Promise<void>;
  publish?: ToolContext['publish'];
  policy?: PathPolicy;
  base?: string;
  facts?: Fact[];
}

export async function createWorkbench(driver: SandboxDriver): Promise<Workbench> {
  const sandbox = await driver.create(specFor(uniqueKey()));
  await init(sandbox, 'main');
  const published: Workbench['published'] = [];
  const output: string[] = [];
  return {
    sandbox,
    published,
    output,
    async sh(command) {
      const result = await sandbox.exec(command);
      if (result.exitCode !== 0) throw new Error(`${command}: ${result.output}`);
      return result.output.trim();
    },
    text: async (path) => (await sandbox.files.read(path)).toString(),
    call(tool, input, options = {}) {
      const parsed = parseToolInput(tool, input);
      if (!parsed.ok) throw new Error(parsed.message);
      return tool.execute(parsed.input, {
        sandbox: options.sandbox ?? sandbox,
        key: options.key ?? uniqueKey(),
        signal: options.signal ?? new AbortController().signal,
        onOutput: (text) => output.push(text),
        intent: { previous: options.previous, record: options.record ?? (async () => undefined) },
        policy: options.policy ?? createPathPolicy([], { unasked: false }),
        base: options.base,
        facts: options.facts ?? [],
        author: { name: 'Comio', email: 'comio@example.org' },
        publish:
          options.publish ??
          (async (request): Promise<Published> => {
            published.push(request);
            return {
              type: 'publish',
              repository: 'ada/recipes',
              url: 'https://forge.example/ada/recipes',
              branch: 'comio/work',
              sha: 'f'.repeat(40),
              pullRequest: { number: 7, url: 'https://forge.example/ada/recipes/pull/7', created: true },
            };
          }),
      });
    },
    [Symbol.asyncDispose]: () => sandbox.destroy(),
  };
}

export const memoryDriver = (): SandboxDriver => createMemoryDriver();

/**
 * `sandbox` for a caller that is killed around the `point`-th operation: before it takes effect, or after it did but
 * before the caller learns of it. From then on nothing works, as for a process that is gone.
 */
export function crashing(
  sandbox: Sandbox,
  point: number,
  when: 'before' | 'after',
): { sandbox: Sandbox; crashed(): boolean; operation<T>(work: () => Promise<T>): Promise<T> } {
  let count = 0;
  let dead = false;
  const operation = async <T>(work: () => Promise<T>): Promise<T> => {
    if (dead) throw new Crash('dead');
    count += 1;
    if (count === point && when === 'before') dead = true;
    if (dead) throw new Crash('killed before');
    const here = count === point;
    const outcome = await Promise.allSettled([work()]);
    if (here) dead = true;
    if (dead) throw new Crash('killed after');
    if (outcome[0].status === 'rejected') throw outcome[0].reason;
    return outcome[0].value;
  };
  const { files } = sandbox;
  return {
    crashed: () => dead,
    operation,
    sandbox: {
      ...sandbox,
      exec: (command, options) => operation(() => sandbox.exec(command, options)),
      pipe: (argv, options) => operation(() => sandbox.pipe(argv, options)),
      files: {
        read: (path) => operation(() => files.read(path)),
        write: (path, content) => operation(() => files.write(path, content)),
        remove: (path) => operation(() => files.remove(path)),
        makeDirectory: (path) => operation(() => files.makeDirectory(path)),
        list: (path, options) => operation(() => files.list(path, options)),
        search: (options) => operation(() => files.search(options)),
      },
    },
  };
}
