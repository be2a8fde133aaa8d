import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { withTable } from './support/settings-table.ts';
import { listFiles, root } from './support/sources.ts';

const documents = listFiles().filter(
  (path) => /^(README|AGENTS)\.md$|^(docs|core)\/.*\.md$/.test(path) && existsSync(join(root, path)),
);
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
/** Without code, in which brackets are not links. */
const prose = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');

describe('the documentation', () => {
  it('is there', () => {
    for (const path of ['README.md', 'AGENTS.md', 'core/glossary.md', 'docs/architecture.md'])
      expect(documents).toContain(path);
  });

  it('lists exactly the settings there are', () => {
    const readme = read('README.md');
    expect(
      readme,
      'README.md is not what the code says; run: node test/support/settings-table.ts --write',
    ).toBe(withTable(readme));
  });

  it.each(documents)('%s links to what exists', (path) => {
    const links = [...prose(read(path)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
    const broken = links
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => {
        const [file = '', anchor] = target.split('#');
        const at = file === '' ? path : join(dirname(path), file);
        if (!existsSync(join(root, at))) return true;
        return anchor !== undefined && at.endsWith('.md') && !anchorsOf(read(at)).includes(anchor);
      });
    expect(broken).toEqual([]);
  });

  it.each(documents)('%s names scripts and files that exist', (path) => {
    const text = read(path);
    const scripts = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name = '']) => name);
    expect(scripts.filter((name) => !Object.hasOwn(packageJson.scripts, name))).toEqual([]);
    const files = [
      ...text.matchAll(/`((?:core|bots|sandbox|adapters|observability|infra|test|docs)\/[\w./-]+)`/g),
    ]
      .map(([, file = '']) => file)
      .filter((file) => !existsSync(join(root, file)));
    expect(files).toEqual([]);
  });
});

/** As GitHub makes them from headings. */
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
