import type { Nodes, Root } from 'mdast';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { gfmFromMarkdown } from 'mdast-util-gfm';
import { gfm } from 'micromark-extension-gfm';

/** What GitHub's Markdown makes of a text: by the reference parser for it, nothing of ours. */
export interface Reading {
  /** Raw HTML, comments included, in order. */
  html: string[];
  images: string[];
  links: string[];
  /** Whoever would be notified. */
  mentions: string[];
  /** Contents of code blocks, in order. */
  code: string[];
  checked: (boolean | null)[];
  /** All that is read, code included. */
  text: string;
}

/** GitHub looks for mentions in text, not in code and not in links. */
const MENTION = /(?<![\w`])@[a-z\d][a-z\d-]*(?:\/[\w-]+)?/gi;

export function read(markdown: string): Reading {
  const reading: Reading = { html: [], images: [], links: [], mentions: [], code: [], checked: [], text: '' };
  const tree: Root = fromMarkdown(markdown, { extensions: [gfm()], mdastExtensions: [gfmFromMarkdown()] });
  const visit = (node: Nodes, inLink: boolean): void => {
    if (node.type === 'html') reading.html.push(node.value);
    if (node.type === 'image' || node.type === 'imageReference') reading.images.push(node.alt ?? '');
    if (node.type === 'link') reading.links.push(node.url);
    if (node.type === 'code') reading.code.push(node.value);
    if (node.type === 'listItem' && typeof node.checked === 'boolean') reading.checked.push(node.checked);
    if (node.type === 'text' && !inLink)
      reading.mentions.push(...Array.from(node.value.matchAll(MENTION), ([mention]) => mention));
    if (node.type === 'text' || node.type === 'code' || node.type === 'inlineCode')
      reading.text += node.value;
    if ('children' in node)
      for (const child of node.children)
        visit(child, inLink || node.type === 'link' || node.type === 'linkReference');
  };
  visit(tree, false);
  return reading;
}
