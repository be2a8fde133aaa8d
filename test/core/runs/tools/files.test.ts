import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tools } from '#core/runs/tools/index.ts';
import type { Tool } from '#core/runs/tools/tool.ts';
import { MAX_FILE_BYTES } from '#sandbox/sandbox.ts';
import { createWorkbench, memoryDriver, type Workbench } from './harness.ts';

const driver = memoryDriver();
let bench: Workbench;
beforeEach(async () => {
  bench = await createWorkbench(driver);
});
afterEach(() => bench[Symbol.asyncDispose]());
afterAll(() => driver[Symbol.asyncDispose]());

const write = (path: string, content: string | Buffer) => bench.sandbox.files.write(path, content);

describe.each<[Tool, Record<string, unknown>]>([
  [tools.read_file, {}],
  [tools.edit_file, { old_string: 'root', new_string: 'x' }],
  [tools.create_file, { content: 'x' }],
  [tools.delete_file, {}],
  [tools.list_directory, {}],
  [tools.create_directory, {}],
  [tools.search_codebase, { pattern: 'root' }],
])('$name', (tool, rest) => {
  it.each(['../outside/a.txt', '/etc/passwd', 'link/passwd', 'a/../../outside'])(
    'does not leave the workspace by %s',
    async (path) => {
      await bench.sh('ln -s /etc link; mkdir -p ../outside; echo root > ../outside/a.txt');
      const result = await bench.call(tool, { path, ...rest });
      expect(result).toMatchObject({ isError: true, facts: [] });
      expect(result.content).toContain('workspace');
      expect(result.content).not.toContain('root');
      expect(await bench.sh('cat ../outside/a.txt; ls ../outside')).toBe('root\na.txt');
    },
  );
});

describe('read_file', () => {
  const read = (input: unknown) => bench.call(tools.read_file, input);

  it('numbers the lines', async () => {
    await write('a.txt', 'one\n\ntwo');
    expect(await read({ path: 'a.txt' })).toEqual({
      content: '1\tone\n2\t\n3\ttwo',
      isError: false,
      summary: 'Read a.txt',
      facts: [],
    });
  });

  it('reads a part, and says where it goes on', async () => {
    await write('a.txt', 'one\ntwo\nthree\nfour\n');
    const { content, summary } = await read({ path: 'a.txt', offset: 2, limit: 2 });
    expect(content).toBe('2\ttwo\n3\tthree\n[Lines 2 to 3 of 4. Read on with offset 4.]');
    expect(summary).toBe('Read a.txt, lines 2–3');
    expect((await read({ path: 'a.txt', offset: 4 })).content).toBe('4\tfour\n[Lines 4 to 4 of 4.]');
  });

  it('gives a long file in parts that together are the file', async () => {
    const lines = Array.from({ length: 3000 }, (_, index) => `line ${index} ${'.'.repeat(index % 90)}`);
    await write('a.txt', lines.join('\n'));
    const seen: string[] = [];
    for (let offset: number | undefined = 1; offset !== undefined; ) {
      const { content }: { content: string } = await read({ path: 'a.txt', offset });
      expect(content.length).toBeLessThan(41_000);
      seen.push(...content.split('\n').filter((line) => !line.startsWith('[')));
      const next: string | undefined = /Read on with offset (\d+)/.exec(content)?.[1];
      offset = next === undefined ? undefined : Number(next);
    }
    expect(seen).toEqual(lines.map((line, index) => `${index + 1}\t${line}`));
  });

  it('cuts a line nobody could read, and says so', async () => {
    await write('a.min.js', `${'x'.repeat(90_000)}\nend\n`);
    const { content } = await read({ path: 'a.min.js' });
    expect(content.length).toBeLessThan(1200);
    expect(content).toContain('[… 89000 characters of this line cut]\n2\tend');
  });

  it.each([
    ['binary', Buffer.from([0x89, 0x50, 0x00, 0x01]), 'binary file (4 bytes'],
    ['not UTF-8', Buffer.from([0x63, 0xe9, 0x0a]), 'not UTF-8'],
  ])('tells a %s file', async (_name, content, words) => {
    await write('a', content);
    const result = await read({ path: 'a' });
    expect(result.isError).toBe(true);
    expect(result.content).toContain(words);
  });

  it('says what to do about a file that is too large, missing or a directory', async () => {
    await bench.sh(`head -c ${MAX_FILE_BYTES + 1} /dev/zero | tr '\\0' a > big.txt; mkdir dir`);
    for (const [path, words] of [
      ['big.txt', 'run_command'],
      ['none.txt', 'list_directory'],
      ['dir', 'list_directory'],
    ]) {
      const result = await read({ path });
      expect(result.isError, path).toBe(true);
      expect(result.content).toContain(words);
    }
  });

  it('tells an empty file and an offset past the end', async () => {
    await write('a', '');
    await write('b', 'one\n');
    expect((await read({ path: 'a' })).content).toBe('(The file is empty.)');
    expect(await read({ path: 'b', offset: 5 })).toMatchObject({
      isError: true,
      content: 'b has only 1 lines.',
    });
  });
});

describe('edit_file', () => {
  const edit = (input: unknown) => bench.call(tools.edit_file, input);

  it('replaces the only match and shows where', async () => {
    await write('a.txt', 'a\nb\nc\nd\ne\n$&\n');
    const result = await edit({ path: 'a.txt', old_string: 'd', new_string: '$& d2\nd3' });
    expect(result).toEqual({
      content: 'a.txt is edited:\n1\ta\n2\tb\n3\tc\n4\t$& d2\n5\td3\n6\te\n7\t$&',
      isError: false,
      summary: 'Edited a.txt',
      facts: [{ type: 'file', path: 'a.txt', change: 'edited' }],
    });
    expect(await bench.text('a.txt')).toBe('a\nb\nc\n$& d2\nd3\ne\n$&\n');
  });

  it('replaces every match when told to', async () => {
    await write('a.txt', 'x\ny\nx');
    expect(await edit({ path: 'a.txt', old_string: 'x', new_string: 'z', replace_all: true })).toMatchObject({
      isError: false,
    });
    expect(await bench.text('a.txt')).toBe('z\ny\nz');
  });

  it('keeps the permissions, the line ends and the byte order mark of the file', async () => {
    await write('a.sh', '\ufeffone\r\ntwo\r\nthree\r\n');
    await bench.sh('chmod 755 a.sh');
    expect(await edit({ path: 'a.sh', old_string: 'one\ntwo', new_string: 'one\n1.5\ntwo' })).toMatchObject({
      isError: false,
    });
    expect(await bench.text('a.sh')).toBe('\ufeffone\r\n1.5\r\ntwo\r\nthree\r\n');
    expect(await bench.sh('stat -c %a a.sh')).toBe('755');
  });

  it.each([
    [
      'occurs twice',
      'x\ny\nx\n',
      { old_string: 'x', new_string: 'z' },
      'occurs 2 times in a.txt (lines 1, 3)',
    ],
    [
      'has other white space',
      'if (a) {\n\treturn b;\n}\n',
      { old_string: 'if (a) {\n  return b;\n}', new_string: '' },
      'other white space; copy them exactly:\n1\tif (a) {\n2\t\treturn b;\n3\t}',
    ],
    [
      'is nearly there',
      'const a = 1;\nconst total = sum(items);\nreturn total;\n',
      { old_string: 'const total = sum(item);', new_string: '' },
      'most similar place in the file is:\n1\tconst a = 1;\n2\tconst total = sum(items);\n3\treturn total;',
    ],
    ['is nowhere', 'aaaaaaa\n', { old_string: 'zzzzzzzz', new_string: '' }, 'Read the file again'],
    ['changes nothing', 'a\n', { old_string: 'a', new_string: 'a' }, 'nothing to do'],
  ])('helps when the text %s', async (_name, text, input, words) => {
    await write('a.txt', text);
    const result = await edit({ path: 'a.txt', ...input });
    expect(result).toMatchObject({ isError: true, facts: [], summary: 'Could not edit a.txt' });
    expect(result.content).toContain(words);
    expect(await bench.text('a.txt')).toBe(text);
  });

  it('does not touch a binary file', async () => {
    await write('a', Buffer.from('one\0two'));
    expect((await edit({ path: 'a', old_string: 'one', new_string: 'two' })).content).toContain('binary');
    expect(await bench.text('a')).toBe('one\0two');
  });

  it('does not make a file too large', async () => {
    await write('a', 'one');
    const result = await edit({ path: 'a', old_string: 'one', new_string: 'x'.repeat(MAX_FILE_BYTES + 1) });
    expect(result).toMatchObject({ isError: true, facts: [] });
    expect(await bench.text('a')).toBe('one');
  });
});

describe('create_file', () => {
  const create = (input: unknown) => bench.call(tools.create_file, input);

  it('creates a file and its directories', async () => {
    expect(await create({ path: 'a/b.txt', content: 'one\ntwo\n' })).toEqual({
      content: 'a/b.txt is created (2 lines).',
      isError: false,
      summary: 'Created a/b.txt',
      facts: [{ type: 'file', path: 'a/b.txt', change: 'created' }],
    });
  });

  it('does not overwrite', async () => {
    await write('a.txt', 'mine\n');
    const result = await create({ path: 'a.txt', content: 'yours\n' });
    expect(result).toMatchObject({ isError: true, facts: [] });
    expect(result.content).toContain('edit_file');
    expect(await bench.text('a.txt')).toBe('mine\n');
  });

  it('takes a file that is there with this content for what it is', async () => {
    await write('a.txt', 'same\n');
    expect(await create({ path: 'a.txt', content: 'same\n' })).toMatchObject({
      isError: false,
      facts: [],
      summary: 'a.txt was there already',
    });
  });

  it('refuses a directory, a path through a file, and too much', async () => {
    await bench.sh('mkdir dir; echo a > file');
    for (const path of ['dir', 'file/a.txt']) {
      expect(await create({ path, content: 'x' }), path).toMatchObject({ isError: true, facts: [] });
    }
    const result = await create({ path: 'big', content: 'x'.repeat(MAX_FILE_BYTES + 1) });
    expect(result).toMatchObject({ isError: true, facts: [] });
    expect(await bench.sh('ls')).toBe('dir\nfile');
  });
});

describe('delete_file', () => {
  const remove = (path: string) => bench.call(tools.delete_file, { path });

  it('deletes a file, and a link but not its target', async () => {
    await bench.sh('mkdir dir; echo a > dir/a.txt; ln -s dir link');
    expect(await remove('link')).toMatchObject({ isError: false });
    expect(await bench.sh('find . -path ./.git -prune -o -print')).toBe('.\n./dir\n./dir/a.txt');
    expect(await remove('dir/a.txt')).toEqual({
      content: 'dir/a.txt is deleted.',
      isError: false,
      summary: 'Deleted dir/a.txt',
      facts: [{ type: 'file', path: 'dir/a.txt', change: 'deleted' }],
    });
  });

  it.each(['dir', 'dir/', '.', 'none.txt', 'none/a.txt', '.git'])('does not delete %s', async (path) => {
    await bench.sh('mkdir dir; echo a > dir/a.txt');
    expect(await remove(path)).toMatchObject({ isError: true, facts: [] });
    expect(await bench.sh('cat dir/a.txt; ls -A')).toBe('a\n.git\ndir');
  });
});

describe('list_directory', () => {
  const list = (input: unknown) => bench.call(tools.list_directory, input);

  it('lists what is there, as deep as asked', async () => {
    expect((await list({})).content).toBe('(The directory is empty.)');
    await bench.sh('mkdir -p src/deep; printf 12345 > src/a.ts; ln -s src link; touch src/deep/b');
    expect(await list({})).toMatchObject({ content: 'link@\nsrc/', summary: 'Listed the workspace' });
    expect((await list({ path: 'src', depth: 2 })).content).toBe('src/a.ts (5)\nsrc/deep/\nsrc/deep/b (0)');
  });

  it('says when there is more', async () => {
    await bench.sh('for i in $(seq 401); do : > f$i; done');
    const { content } = await list({});
    expect(content.split('\n')).toHaveLength(401);
    expect(content).toContain('[Only the first 400 entries.');
  });

  it('tells the model about a directory that is not there', async () => {
    expect(await list({ path: 'none' })).toMatchObject({ isError: true });
  });
});

describe('create_directory', () => {
  it('makes it, and again without complaint; not over a file', async () => {
    await write('file', 'a');
    for (const isError of [false, false]) {
      expect(await bench.call(tools.create_directory, { path: 'a/b' })).toMatchObject({ isError });
    }
    expect(await bench.call(tools.create_directory, { path: 'file' })).toMatchObject({ isError: true });
    expect(await bench.sh('ls -d a/b')).toBe('a/b');
  });
});

describe('search_codebase', () => {
  const search = (input: unknown) => bench.call(tools.search_codebase, input);

  it('finds lines, in the files asked for', async () => {
    await bench.sh(
      'mkdir src; echo "let Sum = 1;" > src/a.ts; echo "sum of all" > b.md; echo sum > .gitignore',
    );
    expect(await search({ pattern: '[Ss]um', glob: '*.ts' })).toMatchObject({
      content: 'src/a.ts:1: let Sum = 1;',
      summary: 'Searched for [Ss]um, 1 match',
    });
    expect((await search({ pattern: 'SUM', ignore_case: true, path: 'src' })).content).toContain('src/a.ts');
    expect(await search({ pattern: 'product' })).toMatchObject({
      isError: false,
      content: 'Nothing matches.',
      summary: 'Searched for product, nothing found',
    });
  });

  it('says when there is more, and keeps within its room', async () => {
    await write('a.txt', `${'needle '.repeat(60)}\n`.repeat(300));
    const { content, summary } = await search({ pattern: 'needle' });
    expect(content).toContain('Only the first 200 matches');
    expect(content).toMatch(/\[… \d+ characters in \d+ lines cut here …\]/);
    expect(content.length).toBeLessThan(21_000);
    expect(summary).toContain('200+ matches');
  });

  it('tells the model what is wrong with its expression', async () => {
    expect(await search({ pattern: '(' })).toMatchObject({ isError: true });
  });
});
