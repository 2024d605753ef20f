/** Bytes and texts: hex and base64 in their one canonical form, UTF-8, lengths in characters. */

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Map([...BASE64].map((letter, value) => [letter, value]));
const SURROGATES = /[\ud800-\udfff]/u;
const ENCODER = new TextEncoder();

/** Return the UTF-8 bytes of a text without lone surrogates. */
export function utf8(text: string): Uint8Array {
  return ENCODER.encode(text);
}

/** Tell whether a text holds half a surrogate pair: it has no UTF-8. */
export function hasLoneSurrogate(text: string): boolean {
  return SURROGATES.test(text);
}

/** Return the length in Unicode characters, as Python counts. */
export function length(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** Return the first characters of a text, as Python cuts. */
export function cut(text: string, most: number): string {
  return text.length <= most ? text : Array.from(text.slice(0, 2 * most)).slice(0, most).join('');
}

/** Return lowercase hex. */
export function hex(data: Uint8Array): string {
  let text = '';
  for (const byte of data) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** Decode lowercase or uppercase hex of an even number of digits, already checked by the caller. */
export function unhex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, at) =>
    Number.parseInt(text.slice(2 * at, 2 * at + 2), 16),
  );
}

/** Return standard base64. */
export function base64(data: Uint8Array): string {
  let text = '';
  for (let at = 0; at < data.length; at += 3) {
    const [a = 0, b, c] = data.subarray(at, at + 3);
    const bits = (a << 16) | ((b ?? 0) << 8) | (c ?? 0);
    text += BASE64.charAt(bits >> 18) + BASE64.charAt((bits >> 12) & 63);
    text += b === undefined ? '=' : BASE64.charAt((bits >> 6) & 63);
    text += c === undefined ? '=' : BASE64.charAt(bits & 63);
  }
  return text;
}

/** Decode standard base64 of at most `limit` characters in its one canonical form; else null. */
export function unbase64(text: string, limit: number): Uint8Array | null {
  if (text.length > limit || text.length % 4 !== 0) return null;
  const digits = text.replace(/={1,2}$/, '');
  const data = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const letter of digits) {
    const value = VALUES.get(letter);
    if (value === undefined) return null;
    bits = ((bits << 6) | value) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      data[at++] = (bits >> held) & 0xff;
    }
  }
  return base64(data) === text ? data : null;
}

/** Join byte arrays. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Tell whether two byte arrays are equal. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
