/**
 * Canonical JSON (RFC 8785, JCS) and digests over it.
 *
 * RFC 8785 spells numbers as ECMAScript does, and sorts keys by UTF-16 code units, which is
 * JavaScript's own order.
 */

import { hasLoneSurrogate, hex, utf8 } from './bytes';
import { Double, type Json } from './json';
import { sha256 } from './sha256';
import { Refusal, told } from './told';

/** Return the RFC 8785 bytes of a value; throws a `Refusal` with code `not_canonical`. */
export function canonicalBytes(value: Json): Uint8Array {
  return utf8(canonicalText(value));
}

/** Return the lowercase hex SHA-256 of the canonical bytes. */
export function digest(value: Json): string {
  return hex(sha256(canonicalBytes(value)));
}

/** Return the RFC 8785 text of a value; throws a `Refusal` with code `not_canonical`. */
export function canonicalText(value: Json): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number') return String(value);
  if (value instanceof Double) return String(value.value);
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  const names = [...value.keys()].sort(byUnits);
  const members = names.map((name) => `${quoted(name)}:${canonicalText(value.get(name) ?? null)}`);
  return `{${members.join(',')}}`;
}

function byUnits(a: string, b: string): number {
  return a < b ? -1 : 1;
}

function quoted(text: string): string {
  if (hasLoneSurrogate(text)) {
    const error = told('a text has half a surrogate pair');
    throw new Refusal('not_canonical', told('The value has no canonical JSON form: {error}', { error }));
  }
  return JSON.stringify(text);
}
