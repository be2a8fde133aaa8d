/** Elements that have no end tag. */
const VOID = new Set('area base br col embed hr img input link meta source track wbr'.split(' '));
/** Elements whose content is no HTML. */
const RAW = new Set(['script', 'style', 'textarea', 'title']);

/**
 * A small, strict reader of HTML: every element that is not void has to be closed, in order. Gives all elements with
 * their attributes, and every mistake in words.
 */
export function parse(html) {
  const elements = [];
  const mistakes = [];
  const open = [];
  const tag = /<!--[\s\S]*?-->|<!doctype[^>]*>|<(\/?)([a-z][\w-]*)((?:\s+[^\s"'<>/=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>=`]+))?)*)\s*(\/?)>/gi;
  let end = 0;
  for (let found = tag.exec(html); found; found = tag.exec(html)) {
    if (html.slice(end, found.index).includes('<')) mistakes.push(`a "<" that is no tag before position ${found.index}`);
    end = tag.lastIndex;
    const name = found[2]?.toLowerCase();
    if (name === undefined) continue;
    if (found[1] === '/') {
      if (open.at(-1) === name) open.pop();
      else mistakes.push(`</${name}> closes nothing; open are: ${open.join(' > ') || 'none'}`);
      continue;
    }
    const element = { name, attributes: attributesOf(found[3]), text: '' };
    elements.push(element);
    if (VOID.has(name) || found[4] === '/') continue;
    if (!RAW.has(name)) {
      open.push(name);
      continue;
    }
    const close = html.toLowerCase().indexOf(`</${name}>`, end);
    if (close < 0) {
      mistakes.push(`<${name}> is not closed`);
      break;
    }
    element.text = html.slice(end, close).trim();
    end = tag.lastIndex = close + name.length + 3;
  }
  if (open.length > 0) mistakes.push(`not closed: ${open.join(' > ')}`);
  return { elements, mistakes };
}

function attributesOf(text) {
  const pairs = text.matchAll(/([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>=`]+)))?/g);
  return Object.fromEntries([...pairs].map(([, name, a, b, c]) => [name.toLowerCase(), a ?? b ?? c ?? '']));
}
