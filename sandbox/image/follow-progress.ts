import { createInterface } from 'node:readline';
import { SandboxError } from '../sandbox.ts';

/** One line of the progress the Docker API streams for pulls, builds and imports. */
interface ProgressLine {
  stream?: string;
  status?: string;
  error?: string;
}

/** Reads such a stream to its end. Throws `image_failed` with the daemon's own words and the output before. */
export async function followProgress(
  stream: NodeJS.ReadableStream,
  onText: (text: string) => void,
): Promise<void> {
  let tail = '';
  for await (const line of createInterface({ input: stream })) {
    if (line.trim() === '') continue;
    const progress: ProgressLine = JSON.parse(line);
    if (progress.error !== undefined) {
      throw new SandboxError('image_failed', `${progress.error}\n${tail.slice(-2000)}`.trim());
    }
    const text = progress.stream ?? progress.status ?? '';
    tail = (tail + text).slice(-4000);
    onText(text);
  }
}
