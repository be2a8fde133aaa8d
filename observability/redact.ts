/** Replaces every secret in a text by `[redacted]`. */
export interface Redactor {
  (text: string): string;
  /** For secrets that came later, short-lived tokens for instance. */
  add(secret: string): void;
}

/** Shorter values are words as often as they are secrets. Also what the search compares at a time. */
const SHORTEST = 8;
const REDACTED = '[redacted]';

/**
 * Finds secrets by value: as they are and in base64 (within longer data too), base64url, hex, percent, JSON and HTML
 * encoding, whatever line breaks are in between, and single lines of a secret that has several. Secrets shorter than
 * 8 characters are ignored. Takes time in proportion to the text, however many secrets there are.
 */
export function createRedactor(secrets: readonly string[]): Redactor {
  const forms = new Map<number, Set<string>>();
  const add = (secret: string) => {
    for (const form of formsOf(secret)) {
      const key = hashOf(form);
      forms.set(key, (forms.get(key) ?? new Set()).add(form));
    }
  };
  for (const secret of secrets) add(secret);
  return Object.assign((text: string) => redact(text, forms), { add });
}

function redact(text: string, forms: ReadonlyMap<number, ReadonlySet<string>>): string {
  const { joined, places } = joinLines(text);
  let result = '';
  let copied = 0;
  let start = -1;
  let end = -1;
  const replaceFound = () => {
    if (start < 0) return;
    result += text.slice(copied, places(start)) + REDACTED;
    copied = places(end - 1) + 1;
  };
  let hash = hashOf(joined);
  for (let at = 0; at + SHORTEST <= joined.length; at++) {
    if (at > 0) hash = rollHash(hash, joined.charCodeAt(at - 1), joined.charCodeAt(at + SHORTEST - 1));
    let length = 0;
    for (const form of forms.get(hash) ?? []) {
      if (form.length > length && joined.startsWith(form, at)) length = form.length;
    }
    if (length === 0) continue;
    // Overlapping secrets go together, or the rest of the second would stay.
    if (at > end) {
      replaceFound();
      start = at;
    }
    end = Math.max(end, at + length);
  }
  replaceFound();
  return copied === 0 ? text : result + text.slice(copied);
}

/** The text without line breaks, and where each of its characters stood. */
function joinLines(text: string): { joined: string; places: (index: number) => number } {
  if (!/[\r\n]/.test(text)) return { joined: text, places: (index) => index };
  const indices = new Uint32Array(text.length);
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code !== 10 && code !== 13) indices[count++] = at;
  }
  return { joined: withoutBreaks(text), places: (index) => indices[index] ?? text.length };
}

const withoutBreaks = (text: string) => text.replace(/[\r\n]+/g, '');

/*
 * A polynomial over the first 8 characters in 32 bits, which can be moved on by one character (Rabin and Karp): one
 * look-up per position finds the few forms worth comparing.
 */
const BASE = 16_777_619;
const TOP = Array.from({ length: SHORTEST - 1 }).reduce<number>((power) => Math.imul(power, BASE), 1);

function hashOf(text: string): number {
  let hash = 0;
  for (let at = 0; at < SHORTEST; at++) hash = (Math.imul(hash, BASE) + (text.charCodeAt(at) || 0)) | 0;
  return hash;
}

const rollHash = (hash: number, leaving: number, entering: number) =>
  (Math.imul(hash - Math.imul(leaving, TOP), BASE) + entering) | 0;

function formsOf(secret: string): Set<string> {
  const forms = new Set<string>();
  for (const value of [secret, ...secretLines(secret)]) {
    if (withoutBreaks(value).length < SHORTEST) continue;
    for (const form of encodingsOf(value)) {
      const joined = withoutBreaks(form);
      if (joined.length >= SHORTEST) forms.add(joined);
    }
  }
  return forms;
}

/** The lines that are secret on their own: a tool may show one line of a private key, and its armour is public. */
const secretLines = (secret: string): string[] => {
  const lines = secret
    .split(/[\r\n]+/)
    .filter((line) => line.length >= 2 * SHORTEST && !line.startsWith('-----'));
  return /[\r\n]./.test(secret) ? lines : [];
};

function encodingsOf(value: string): string[] {
  const bytes = Buffer.from(value);
  const json = JSON.stringify(value).slice(1, -1);
  const percent = encodeURIComponent(value);
  const hex = bytes.toString('hex');
  const base64 = [bytes.toString('base64'), ...[0, 1, 2].map((before) => base64Within(bytes, before))];
  return [
    value,
    json,
    json.replaceAll('/', '\\/'),
    // A JSON text within a JSON text.
    JSON.stringify(json).slice(1, -1),
    asciiJson(json),
    percent,
    lowerPercent(percent),
    strictPercent(percent),
    lowerPercent(strictPercent(percent)),
    new URLSearchParams([['', value]]).toString().slice(1),
    value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
    hex,
    hex.toUpperCase(),
    ...base64,
    ...base64.map((form) => form.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')),
  ];
}

/** The characters that are the same whatever stands around the bytes, when `before` bytes are left over before them. */
function base64Within(bytes: Buffer, before: number): string {
  const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
  return encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
}

const asciiJson = (json: string) =>
  json.replace(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

const lowerPercent = (text: string) => text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());

/** As RFC 3986 has it: `encodeURIComponent` leaves five of the reserved characters. */
const strictPercent = (text: string) =>
  text.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
