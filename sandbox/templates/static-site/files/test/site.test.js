import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createSite } from '../serve.js';
import { parse } from './html.js';

const SITE = fileURLToPath(new URL('../site/', import.meta.url));
const files = readdirSync(SITE, { recursive: true }).map((path) => join(SITE, path));
const read = (path) => readFileSync(path, 'utf8');
const isElsewhere = (link) => /^([a-z][a-z0-9+.-]*:|\/\/)/i.test(link);

/** The file a link of a page leads to; a directory means its index. */
function target(page, link) {
  const [path] = link.split(/[?#]/);
  if (path === '') return page;
  const file = path.startsWith('/') ? join(SITE, path) : join(dirname(page), decodeURIComponent(path));
  return existsSync(file) && statSync(file).isDirectory() ? join(file, 'index.html') : file;
}

const idsOf = (page) => parse(read(page)).elements.flatMap(({ attributes }) => attributes.id ?? []);

test('there is a start page', () => {
  assert.ok(files.includes(join(SITE, 'index.html')));
});

for (const page of files.filter((path) => path.endsWith('.html'))) {
  describe(relative(SITE, page), () => {
    const html = read(page);
    const { elements, mistakes } = parse(html);
    const all = (name) => elements.filter((element) => element.name === name);

    test('is well formed', () => {
      assert.match(html, /^<!doctype html>/i);
      assert.deepEqual(mistakes, []);
    });

    test('says its language, encoding, title and how it fits small screens', () => {
      assert.ok(all('html')[0]?.attributes.lang, 'lang is missing');
      assert.ok(all('title')[0]?.text, 'the title is missing');
      const metas = all('meta').map(({ attributes }) => attributes);
      assert.equal(metas.find(({ charset }) => charset)?.charset.toLowerCase(), 'utf-8');
      assert.ok(metas.some(({ name }) => name === 'viewport'), 'the viewport is missing');
    });

    test('has one main heading, ids that are unique, and images with alternatives', () => {
      assert.equal(all('h1').length, 1);
      const ids = idsOf(page);
      assert.deepEqual(ids, [...new Set(ids)]);
      for (const { attributes } of all('img')) assert.ok('alt' in attributes, `no alt: ${attributes.src}`);
    });

    test('links lead somewhere', () => {
      const links = elements.flatMap(({ attributes }) => [attributes.href, attributes.src].filter((link) => link !== undefined));
      for (const link of links.filter((one) => !isElsewhere(one))) {
        assert.notEqual(link, '', 'a link without a target');
        const file = target(page, link);
        assert.ok(existsSync(file), `${link}: there is no such file`);
        const fragment = link.split('#')[1];
        if (fragment) assert.ok(idsOf(file).includes(decodeURIComponent(fragment)), `${link}: there is no such place`);
      }
    });
  });
}

for (const sheet of files.filter((path) => path.endsWith('.css'))) {
  test(`${relative(SITE, sheet)} is balanced and refers to files that exist`, () => {
    const css = read(sheet).replace(/\/\*[\s\S]*?\*\//g, '');
    assert.equal(css.split('{').length, css.split('}').length);
    for (const [, link] of css.matchAll(/url\(\s*["']?([^"')]+)["']?\s*\)/g)) {
      if (!isElsewhere(link)) assert.ok(existsSync(target(sheet, link)), `${link}: there is no such file`);
    }
  });
}

test('is served, and nothing beside it', async () => {
  const server = createSite();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const get = (path) => fetch(`http://127.0.0.1:${server.address().port}${path}`);
    assert.equal((await get('/healthz')).status, 200);
    const page = await get('/');
    assert.match(page.headers.get('content-type'), /^text\/html/);
    assert.equal(await page.text(), read(join(SITE, 'index.html')));
    for (const path of ['/none', '/..%2fpackage.json', '/%']) assert.equal((await get(path)).status, 404);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
