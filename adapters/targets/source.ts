import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { extract, pack } from 'tar-stream';
import { TargetError } from './target.ts';

/** What a recipe is chosen by. */
export interface SourceTree {
  /** Paths of all files, without a leading `./`. */
  files: ReadonlySet<string>;
  /** Contents of the files at the root that say what a project is. */
  texts: ReadonlyMap<string, string>;
}

/** Read when at the root; a larger one says nothing more. */
const READ = new Set(['package.json', 'requirements.txt', 'pyproject.toml']);
const MAX_READ_BYTES = 1024 * 1024;

/** Throws `build_failed` when `source` is not a tar. */
export async function readSource(source: Buffer): Promise<SourceTree> {
  const files = new Set<string>();
  const texts = new Map<string, string>();
  try {
    for await (const entry of Readable.from([source]).pipe(extract())) {
      const { name, type, size = 0 } = entry.header;
      const path = posix.normalize(name);
      if (type === 'file' || type === 'symlink') files.add(path);
      if (type === 'file' && READ.has(path) && size <= MAX_READ_BYTES) {
        texts.set(path, (await buffer(entry)).toString());
      } else entry.resume();
    }
  } catch (cause) {
    throw new TargetError('build_failed', 'The source tree could not be read: it is not a tar', { cause });
  }
  return { files, texts };
}

/** The same tar with one more file. */
export async function withFile(source: Buffer, name: string, content: string): Promise<Buffer> {
  const out = pack();
  const written = buffer(out);
  for await (const entry of Readable.from([source]).pipe(extract())) {
    const body = await buffer(entry);
    out.entry(entry.header, body);
  }
  out.entry({ name, mode: 0o644 }, content);
  out.finalize();
  return await written;
}
