/**
 * The simple commands of a shell line as words, in order, without redirections' meaning, expansions or loops: enough
 * to tell what a command obviously is, never to run it. `npm ci && CI=1 npm test | tail -5` → `npm ci`, `npm test`,
 * `tail -5`.
 */
export function simpleCommands(line: string): string[][] {
  const commands: string[][] = [[]];
  let word: string | undefined;
  let quote: string | undefined;
  const endWord = () => {
    if (word !== undefined) commands.at(-1)?.push(word);
    word = undefined;
  };
  for (let at = 0; at < line.length; at += 1) {
    const char = line.charAt(at);
    if (quote !== undefined) {
      if (char === quote) quote = undefined;
      else word += char === '\\' && quote === '"' ? line.charAt(++at) : char;
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= '';
    } else if (char === '\\') {
      word = (word ?? '') + line.charAt(++at);
    } else if (/[\s;|()]/.test(char) || (char === '&' && !/[<>]/.test(line.charAt(at - 1)))) {
      endWord();
      if (!/[ \t]/.test(char)) commands.push([]);
    } else word = (word ?? '') + char;
  }
  endWord();
  return commands.map(withoutPrefix).filter((words) => words.length > 0);
}

const ASSIGNMENT = /^[A-Za-z_]\w*=/;

/** Without what only surrounds the program: assignments, `env`, `time`, `timeout 60`. */
function withoutPrefix(words: string[]): string[] {
  const first = words.findIndex((word, index) => {
    if (ASSIGNMENT.test(word) || /^(env|time|exec|nice|command|then|do|\{|!)$/.test(word)) return false;
    if (word === 'timeout') return false;
    return !(words.slice(0, index).includes('timeout') && /^(-.*|\d+[smh]?)$/.test(word));
  });
  return first < 0 ? [] : words.slice(first);
}
