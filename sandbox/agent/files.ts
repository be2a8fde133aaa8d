import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, lstat, mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type FileEntry, MAX_FILE_BYTES, SandboxError, type SandboxFiles } from '../sandbox.ts';
import { isErrno, relativeTo, resolveInside } from './paths.ts';
import type { Search } from './search.ts';

const DEFAULT_MAX_ENTRIES = 1000;

/** The files of the workspace at `root` (an absolute path without links), by the local file system. */
export function createFiles(root: string, search: Search): SandboxFiles {
  return {
    read: (path) =>
      coded(path, async () => {
        const target = await resolveInside(root, path, { followLast: true });
        // A named pipe or a device would block the open without O_NONBLOCK.
        await using file = await open(target, constants.O_RDONLY | constants.O_NONBLOCK);
        const info = await file.stat();
        if (!info.isFile()) throw new SandboxError('not_a_file', `${path} is not a file`);
        if (info.size > MAX_FILE_BYTES) throw tooLarge(path, info.size);
        const content = await file.readFile();
        if (content.length > MAX_FILE_BYTES) throw tooLarge(path, content.length);
        return content;
      }),

    write: (path, content) =>
      coded(path, async () => {
        const bytes = Buffer.from(content);
        if (bytes.length > MAX_FILE_BYTES) throw tooLarge(path, bytes.length);
        const target = await resolveInside(root, path, { followLast: true });
        if (target === root) throw new SandboxError('not_a_file', `${path} is the workspace itself`);
        const mode = await modeOf(target, path);
        await mkdir(dirname(target), { recursive: true });
        const temporary = join(
          dirname(target),
          `.${basename(target).slice(0, 200)}.${randomBytes(6).toString('hex')}`,
        );
        try {
          await writeFile(temporary, bytes, { flag: 'wx', mode: mode ?? 0o666 });
          if (mode !== undefined) await chmod(temporary, mode);
          await rename(temporary, target);
        } catch (error) {
          await rm(temporary, { force: true });
          throw error;
        }
      }),

    remove: (path) =>
      coded(path, async () => {
        const target = await resolveInside(root, path, { followLast: false });
        if (target === root) throw new SandboxError('outside_workspace', 'The workspace itself stays');
        await rm(target, { recursive: true });
      }),

    makeDirectory: (path) =>
      coded(path, async () => {
        await mkdir(await resolveInside(root, path, { followLast: true }), { recursive: true });
      }),

    list: (path, options = {}) =>
      coded(path, async () => {
        const start = await resolveInside(root, path, { followLast: true });
        return await walk(root, start, options.depth ?? 1, options.maxEntries ?? DEFAULT_MAX_ENTRIES);
      }),

    search: (options) =>
      coded(options.path ?? '.', async () => {
        const start = await resolveInside(root, options.path ?? '.', { followLast: true });
        await stat(start);
        return await search({ ...options, root, path: relativeTo(root, start) });
      }),
  };
}

async function walk(
  root: string,
  start: string,
  depth: number,
  maxEntries: number,
): Promise<{ entries: FileEntry[]; more: boolean }> {
  const entries: FileEntry[] = [];
  let more = false;
  const visit = async (directory: string, level: number): Promise<void> => {
    const children = await readdir(directory, { withFileTypes: true });
    children.sort((a, b) => compare(a.name, b.name));
    for (const child of children) {
      if (child.name === '.git') continue;
      if (entries.length >= maxEntries) {
        more = true;
        return;
      }
      const full = join(directory, child.name);
      const type = child.isDirectory() ? 'directory' : child.isSymbolicLink() ? 'symlink' : 'file';
      const size = child.isFile() ? await sizeOf(full) : 0;
      entries.push({ path: relativeTo(root, full), type, size });
      if (type === 'directory' && level < depth) await visit(full, level + 1);
    }
  };
  await visit(start, 1);
  entries.sort((a, b) => compare(a.path, b.path));
  return { entries, more };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** 0 for a file a running command removed since the directory was read. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await lstat(path)).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** Permission bits of the file to be replaced; undefined when there is none. */
async function modeOf(target: string, path: string): Promise<number | undefined> {
  try {
    const info = await stat(target);
    if (!info.isFile()) throw new SandboxError('not_a_file', `${path} is not a file`);
    return info.mode & 0o777;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

const tooLarge = (path: string, size: number) =>
  new SandboxError('too_large', `${path} has ${size} bytes, more than ${MAX_FILE_BYTES}`);

/** The file system's error codes in the port's words. */
async function coded<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SandboxError) throw error;
    if (isErrno(error, 'ENOENT'))
      throw new SandboxError('not_found', `${path} does not exist`, { cause: error });
    for (const code of ['ENOTDIR', 'EISDIR', 'EEXIST', 'ENXIO', 'ELOOP', 'ENAMETOOLONG']) {
      if (isErrno(error, code)) {
        throw new SandboxError('not_a_file', `${path} is not a file or directory of that kind (${code})`, {
          cause: error,
        });
      }
    }
    throw new SandboxError(
      'io_failed',
      `${path}: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    );
  }
}
