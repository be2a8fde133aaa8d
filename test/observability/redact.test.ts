import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRedactor } from '#observability/redact.ts';

const SECRET = 'sk-Ab/9+"ß&x<y>z!(1)';
const redact = createRedactor([SECRET]);
const at = (text: string, index: number, part: string) => text.slice(0, index) + part + text.slice(index);

const ENCODINGS: Record<string, (secret: string) => string> = {
  'as it is': (secret) => secret,
  base64: (secret) => Buffer.from(secret).toString('base64'),
  'base64 without padding': (secret) => Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  base64url: (secret) => Buffer.from(secret).toString('base64url'),
  hex: (secret) => Buffer.from(secret).toString('hex'),
  'upper-case hex': (secret) => Buffer.from(secret).toString('hex').toUpperCase(),
  'URL component': encodeURIComponent,
  'URL component in lower case': (secret) =>
    encodeURIComponent(secret).replace(/%../g, (code) => code.toLowerCase()),
  form: (secret) => new URLSearchParams({ k: secret }).toString().slice(2),
  JSON: (secret) => JSON.stringify(secret).slice(1, -1),
  'JSON in JSON': (secret) => JSON.stringify(JSON.stringify(secret).slice(1, -1)).slice(1, -1),
  'JSON in ASCII': (secret) => JSON.stringify(secret).slice(1, -1).replace('ß', '\\u00df'),
  HTML: (secret) => secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
};

describe.each(Object.entries(ENCODINGS))('a secret %s', (_, encode) => {
  test('is replaced, everywhere and alone', () => {
    const encoded = encode(SECRET);
    expect(redact(encoded)).toBe('[redacted]');
    expect(redact(`a ${encoded} b\n${encoded}.`)).toBe('a [redacted] b\n[redacted].');
  });

  test.each(['\n', '\r\n'])('is replaced when %j splits it anywhere', (newline) => {
    const encoded = encode(SECRET);
    for (let index = 1; index < encoded.length; index++)
      expect(redact(`x\n ${at(encoded, index, newline)} \ny`)).toBe('x\n [redacted] \ny');
  });
});

test('is found within longer data in base64, whatever stands before and after', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom('base64' as const, 'base64url' as const),
      (before, after, encoding) => {
        const encoded = Buffer.concat([before, Buffer.from(SECRET), after]).toString(encoding);
        const text = redact(encoded);
        expect(text).toContain('[redacted]');
        for (const part of text.split('[redacted]')) {
          // What is left decodes, in any alignment, to less than two characters of the secret beside the rest.
          for (const shift of ['', 'A', 'AA', 'AAA'])
            expect(Buffer.from(shift + part, encoding).includes(SECRET.slice(0, 4))).toBe(false);
        }
        expect(text.length).toBeLessThan(encoded.length);
      },
    ),
  );
});

test('texts without secrets come back as they are', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(redact(text)).toBe(text);
    }),
  );
});

test('no secret of several survives in any text they are put in', () => {
  const secret = fc
    .string({ unit: 'binary-ascii', minLength: 8, maxLength: 60 })
    .filter((text) => !/[\r\n]/.test(text));
  fc.assert(
    fc.property(
      fc.array(secret, { minLength: 1, maxLength: 5 }),
      fc.array(fc.string(), { maxLength: 8 }),
      (secrets, parts) => {
        const text = parts.map((part, index) => part + secrets[index % secrets.length]).join('');
        const marked = createRedactor(secrets)(text).replaceAll('[redacted]', '\u0000');
        for (const one of secrets) expect(marked).not.toContain(one);
      },
    ),
  );
});

test('overlapping secrets leave nothing of either', () => {
  expect(createRedactor(['abcdefgh1234', '1234ijklmnop'])('<abcdefgh1234ijklmnop>')).toBe('<[redacted]>');
  expect(createRedactor(['abcdefgh', 'abcdefgh-long-one'])('<abcdefgh-long-one>')).toBe('<[redacted]>');
});

test('short values are no secrets, and neither is nothing', () => {
  expect(createRedactor(['', 'dev', '1234567', '12\n34567'])('dev 1234567 1234567')).toBe(
    'dev 1234567 1234567',
  );
});

test('a private key is found whole, on one line, and line by line, its armour is not', () => {
  const lines = [randomBytes(48), randomBytes(48), randomBytes(20)].map((bytes) => bytes.toString('base64'));
  const key = ['-----BEGIN RSA PRIVATE KEY-----', ...lines, '-----END RSA PRIVATE KEY-----', ''].join('\n');
  const hide = createRedactor([key]);
  expect(hide(`key:\n${key}`)).toBe('key:\n[redacted]\n');
  expect(hide(`key: ${JSON.stringify(key)}`)).toBe('key: "[redacted]"');
  expect(hide(`${lines[1]} is line 3`)).toBe('[redacted] is line 3');
  expect(hide('-----BEGIN RSA PRIVATE KEY-----')).toBe('-----BEGIN RSA PRIVATE KEY-----');
});

test('secrets may be added later', () => {
  const hide = createRedactor([]);
  expect(hide('ghs_0123456789')).toBe('ghs_0123456789');
  hide.add('ghs_0123456789');
  expect(hide('ghs_0123456789')).toBe('[redacted]');
});

test('a megabyte with hundreds of secrets', () => {
  const secrets = Array.from({ length: 300 }, () => `ghs_${randomBytes(18).toString('base64url')}`);
  const filler = randomBytes(1_500).toString('base64').replace(/.{76}/g, '$&\n');
  const text = secrets.map((secret) => `${filler}${filler.slice(0, 1_500)} ${secret}\n`).join('');
  expect(text.length).toBeGreaterThan(1_000_000);
  const hidden = createRedactor(secrets)(text);
  expect(hidden.match(/\[redacted\]/g)).toHaveLength(300);
  expect(hidden).not.toContain('ghs_');
});
