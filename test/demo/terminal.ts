import { styleText } from 'node:util';

/** What one message reads like now. */
export interface SeenText {
  /** Unique over all threads. */
  id: string;
  thread: string;
  author: string;
  byBot: boolean;
  text: string;
}

export interface Terminal {
  heading(text: string): void;
  say(text: string): void;
  /** A message or its latest edit: prints the lines that were not there before. */
  show(message: SeenText): void;
  /** Shows that something is waited for until the returned function is called. */
  wait(text: string): () => void;
}

const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const NAME_WIDTH = 9;

/** Breaks between words where it can; a word longer than the line is left whole. */
const wrap = (text: string, most: number): string[] => {
  const rows: string[] = [];
  let row = /^\s*/.exec(text)?.[0] ?? '';
  for (const word of text.trim().split(' ')) {
    if (row.trim() !== '' && row.length + word.length + 1 > most) {
      rows.push(row);
      row = '';
    }
    row += row.trim() === '' ? word : ` ${word}`;
  }
  return [...rows, row];
};

/** Threads as they grow, line by line: readable live, in a log file and in a pipe. */
export function createTerminal(out: NodeJS.WriteStream): Terminal {
  const printed = new Map<string, Set<string>>();
  const live = out.isTTY === true;
  const width = () => Math.max(40, (out.columns ?? 120) - NAME_WIDTH - 4);
  let lastThread = '';
  let spinner: { text: string; since: number; frame: number } | undefined;

  const erase = () => {
    if (live && spinner) out.write('\r\x1b[K');
  };
  const draw = () => {
    if (!live || !spinner) return;
    const seconds = Math.round((Date.now() - spinner.since) / 1000);
    const glyph = SPINNER[spinner.frame++ % SPINNER.length] ?? '';
    out.write(`\r\x1b[K${styleText('dim', `${glyph} ${spinner.text} (${seconds} s)`)}`);
  };
  const line = (text: string) => {
    erase();
    out.write(`${text}\n`);
    draw();
  };

  return {
    heading(text) {
      lastThread = '';
      line(`\n${styleText('bold', `━━ ${text} `.padEnd(76, '━'))}`);
    },
    say: (text) => line(styleText('dim', text)),
    show({ id, thread, author, byBot, text }) {
      const known = printed.get(id) ?? new Set<string>();
      printed.set(id, known);
      const fresh = text.split('\n').filter((one) => one.trim() !== '' && !known.has(one));
      if (fresh.length === 0) return;
      if (thread !== lastThread) line(styleText(['dim', 'underline'], thread));
      lastThread = thread;
      for (const [index, one] of fresh.entries()) {
        known.add(one);
        const name = index === 0 ? author : '';
        const color = byBot ? 'cyan' : 'yellow';
        const gutter = (who: string) =>
          `${styleText(color, who.padStart(NAME_WIDTH))} ${styleText('dim', '│')} `;
        for (const [row, text] of wrap(one, width()).entries()) line(gutter(row === 0 ? name : '') + text);
      }
    },
    wait(text) {
      const began = { text, since: Date.now(), frame: 0 };
      spinner = began;
      if (!live) out.write(`  … ${text}\n`);
      const timer = setInterval(draw, 120);
      return () => {
        clearInterval(timer);
        erase();
        if (spinner === began) spinner = undefined;
      };
    },
  };
}
