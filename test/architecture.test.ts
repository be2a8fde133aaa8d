import { describe, expect, it } from 'vitest';
import { listFiles, readSources, type Source } from './support/sources.ts';

// The rules of docs/architecture.md that a machine can hold. Each collects its offences and expects none.

const LEAVES = ['sandbox', 'adapters', 'observability'];
const MAY_IMPORT: Record<string, readonly string[]> = {
  bots: ['core', ...LEAVES],
  core: LEAVES,
  sandbox: [],
  adapters: [],
  observability: [],
  infra: LEAVES,
  test: ['bots', 'core', 'infra', ...LEAVES],
};
const TOP = ['.ci', '.github', 'docs', ...Object.keys(MAY_IMPORT)];

const topOf = (path: string): string => path.split('/')[0] ?? '';
/** `core/runs` of `core/runs/tools/git.ts`; `core` of `core/comio.ts`. */
const partOf = (path: string): string => path.split('/').slice(0, -1).slice(0, 2).join('/');

const sources = readSources();
const inFolders = sources.filter(({ path }) => path.includes('/'));

/** Of files in folders: what lies at the root (package.json) belongs to no folder. */
const importsOf = (files: readonly Source[]) =>
  files.flatMap(({ path, imports }) =>
    imports.flatMap(({ target, ...rest }) => (target?.includes('/') ? [{ path, target, ...rest }] : [])),
  );

/** The cycles in a graph, each once, written `a → b → a`. */
const cyclesOf = (edges: readonly (readonly [string, string])[]): string[] => {
  const next = Map.groupBy(edges, ([from]) => from);
  const cycles = new Set<string>();
  const done = new Set<string>();
  const visit = (node: string, trail: readonly string[]): void => {
    const start = trail.indexOf(node);
    if (start >= 0) {
      const ring = trail.slice(start);
      const first = ring.indexOf(ring.toSorted()[0] ?? node);
      const turned = [...ring.slice(first), ...ring.slice(0, first)];
      cycles.add([...turned, turned[0]].join(' → '));
      return;
    }
    if (done.has(node)) return;
    for (const [, to] of next.get(node) ?? []) visit(to, [...trail, node]);
    done.add(node);
  };
  for (const node of next.keys()) visit(node, []);
  return [...cycles].toSorted();
};

describe('the house', () => {
  it('has no folder at the top that the design does not name', () => {
    const folders = new Set(
      listFiles()
        .filter((path) => path.includes('/'))
        .map(topOf),
    );
    expect([...folders].filter((folder) => !TOP.includes(folder))).toEqual([]);
  });

  it('lets bots import core, core import the leaves, and the leaves only the type of the logger', () => {
    const offences = importsOf(inFolders)
      .filter(
        ({ path, target }) =>
          topOf(path) !== topOf(target) && !MAY_IMPORT[topOf(path)]?.includes(topOf(target)),
      )
      .filter(({ path, target, typeOnly }) => {
        const logger = target === 'observability/log.ts' && typeOnly && LEAVES.includes(topOf(path));
        return !logger;
      });
    expect(offences.map(({ path, specifier }) => `${path} imports ${specifier}`)).toEqual([]);
  });

  it('writes #folder/… across the top folders and relative paths inside one', () => {
    const offences = importsOf(inFolders).filter(
      ({ path, target, specifier }) => specifier.startsWith('#') === (topOf(path) === topOf(target)),
    );
    // Tests name each other's helpers either way.
    const ours = offences.filter(({ path, target }) => !(topOf(path) === 'test' && topOf(target) === 'test'));
    expect(ours.map(({ path, specifier }) => `${path} imports ${specifier}`)).toEqual([]);
  });

  it('has no import cycles, between files or between the parts of a folder', () => {
    const edges = importsOf(inFolders)
      .filter(({ path, typeOnly }) => topOf(path) !== 'test' && !typeOnly)
      .map(({ path, target }) => [path, target] as const);
    expect(cyclesOf(edges)).toEqual([]);
    // A composition root (core/comio.ts) stands above the parts and belongs to none; a port or a model, which
    // imports nothing at run time, belongs to all.
    const importers = new Set(edges.map(([from]) => from));
    const between = edges.filter(
      ([from, to]) =>
        from.split('/').length > 2 &&
        to.split('/').length > 2 &&
        partOf(from) !== partOf(to) &&
        importers.has(to),
    );
    const cycles = cyclesOf(between.map(([from, to]) => [partOf(from), partOf(to)] as const));
    const causes = between.filter(([from, to]) =>
      cycles.some((cycle) => cycle.includes(`${partOf(from)} → ${partOf(to)}`)),
    );
    expect(causes.map(([from, to]) => `${from} imports ${to}`)).toEqual([]);
  });

  it('reads the environment in core/config.ts alone', () => {
    const readers = inFolders.filter(
      ({ path, text }) => topOf(path) !== 'test' && /\bprocess\.env\b/.test(code(text)),
    );
    expect(readers.map(({ path }) => path)).toEqual(['core/config.ts']);
  });

  it('keeps index.ts for registries: object literals and the types around them', () => {
    const offences = sources
      .filter(({ path }) => /(^|\/)index\.ts$/.test(path))
      .flatMap(({ path, text }) =>
        [
          ...code(text).matchAll(
            /^(?:export (?!const \w+ = \{|(?:interface|type) ).*|(?:async )?function .*|(?:const|let|class) .*)$/gm,
          ),
        ].map(([line]) => `${path}: ${line}`),
      );
    expect(offences).toEqual([]);
  });
});

describe('the rules can be broken', () => {
  it('finds a cycle, however long, once', () => {
    const edges = [
      ['c', 'a'],
      ['a', 'b'],
      ['b', 'c'],
      ['b', 'd'],
      ['x', 'a'],
    ] as const;
    expect(cyclesOf(edges)).toEqual(['a → b → c → a']);
    expect(cyclesOf(edges.slice(1))).toEqual([]);
  });

  it('sees every way of importing', () => {
    const here = sources.find(({ path }) => path === 'test/architecture.test.ts');
    expect(here?.imports.map(({ target }) => target)).toContain('test/support/sources.ts');
    const registry = sources.find(({ path }) => path === 'adapters/llm/providers/index.ts');
    expect(registry?.imports).toContainEqual({
      specifier: '../provider-factory.ts',
      target: 'adapters/llm/provider-factory.ts',
      typeOnly: true,
    });
    expect(sources.flatMap(({ imports }) => imports).filter(({ target }) => target).length).toBeGreaterThan(
      100,
    );
  });
});

/** Without comments, well enough for looking at how lines begin. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}
