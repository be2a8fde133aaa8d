import { lstat, readlink } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import { SandboxError } from '../sandbox.ts';

/** As in the kernel (MAXSYMLINKS): more links than this on one path is a loop. */
const MAX_LINKS = 40;

export interface ResolveOptions {
  /** false: the path's last component is not followed when it is a link (removal acts on the link). */
  followLast: boolean;
}

/**
 * The absolute path that `path` (workspace-relative, or absolute and inside `root`) stands for, every link on the
 * way resolved. Components that do not exist are kept as they are, so a path to be created resolves as well.
 * `root` must itself be free of links. Throws `outside_workspace` as soon as a step leaves the root.
 */
export async function resolveInside(root: string, path: string, options: ResolveOptions): Promise<string> {
  const outside = () => new SandboxError('outside_workspace', `${path} leads out of the workspace`);
  if (path.includes('\0')) throw outside();
  const pending = splitFrom(root, path);
  if (pending === undefined) throw outside();
  const resolved: string[] = [];
  let links = 0;
  for (let part = pending.shift(); part !== undefined; part = pending.shift()) {
    if (part === '..') {
      if (resolved.pop() === undefined) throw outside();
      continue;
    }
    const here = join(root, ...resolved, part);
    if (pending.length === 0 && !options.followLast) {
      resolved.push(part);
      break;
    }
    const target = await linkTarget(here);
    if (target === undefined) {
      resolved.push(part);
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) throw new SandboxError('not_a_file', `${path}: too many symbolic links`);
    if (isAbsolute(target)) {
      const inside = splitFrom(root, target);
      if (inside === undefined) throw outside();
      resolved.length = 0;
      pending.unshift(...inside);
    } else {
      pending.unshift(...components(target));
    }
  }
  return join(root, ...resolved);
}

/** The workspace-relative form of a resolved path; '' for the workspace itself. */
export const relativeTo = (root: string, resolved: string): string => resolved.slice(root.length + 1);

const components = (path: string): string[] => path.split(sep).filter((part) => part !== '' && part !== '.');

function splitFrom(root: string, path: string): string[] | undefined {
  if (!isAbsolute(path)) return components(path);
  if (path === root) return [];
  return path.startsWith(`${root}${sep}`) ? components(path.slice(root.length)) : undefined;
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    const stat = await lstat(path);
    return stat.isSymbolicLink() ? await readlink(path) : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}

export const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
