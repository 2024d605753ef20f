/**
 * Strict parsing of foreign JSON: what `secureflow.kit.canonical.parse_json` accepts, and no more.
 *
 * `JSON.parse` takes the last of two equal keys, forgets whether a number was written as a whole
 * one, and has no bound of its own. A number here is a JavaScript `number` only if it is an integer
 * within ±(2^53−1), as Python's `int`; everything else is a `Double`.
 */

import { Refusal, told } from './told';

/** A number that is no integer within ±(2^53−1), or was written with a point or an exponent. */
export class Double {
  constructor(readonly value: number) {}
}

export type JsonObject = Map<string, Json>;
export type Json = null | boolean | string | number | Double | Json[] | JsonObject;

/** Greatest size of a file, in bytes: as for the command line. */
export const MAX_FILE_BYTES = 64 << 20;
/** Deepest nesting that is read; a bundle itself may nest less (`bundle.ts`). */
const MAX_DEPTH = 512;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const SPACE = /[ \t\n\r]*/y;
/** What stands in a string as it is: no quote, backslash or control character. */
// oxlint-disable-next-line no-control-regex
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const HEX4 = /[0-9a-fA-F]{4}/y;
const ESCAPES = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);
const WORDS: readonly [string, Json][] = [
  ['null', null],
  ['true', true],
  ['false', false],
];

/** Parse foreign JSON; throws a `Refusal` with code `malformed_json`. */
export function parseJson(data: Uint8Array, limit: number = MAX_FILE_BYTES): Json {
  if (data.length > limit) {
    throw malformed(told('it has {count} bytes, more than {limit}', { count: data.length, limit }));
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw malformed(told('it is not UTF-8'));
  }
  return new Parser(text).document();
}

/** Tell whether a value is an object. */
export function isObject(value: Json | undefined): value is JsonObject {
  return value instanceof Map;
}

/** Tell whether a value is nested deeper than a bound: lists and objects count. */
export function deeperThan(value: Json, most: number): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Double) return false;
  if (most === 0) return true;
  for (const one of value.values()) if (deeperThan(one, most - 1)) return true;
  return false;
}

class Parser {
  private at = 0;

  constructor(private readonly text: string) {}

  document(): Json {
    this.take(SPACE);
    const value = this.value(MAX_DEPTH);
    this.take(SPACE);
    if (this.at !== this.text.length) throw this.wrong('something follows the value');
    return value;
  }

  private value(depth: number): Json {
    const first = this.text[this.at];
    if (first === '"') return this.string();
    if (first === '{' || first === '[') {
      if (depth === 0) throw this.wrong('it is nested too deeply');
      this.at += 1;
      return first === '{' ? this.object(depth - 1) : this.list(depth - 1);
    }
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  private object(depth: number): JsonObject {
    const found: JsonObject = new Map();
    for (let more = !this.ends('}'); more; more = this.goesOn('}')) {
      this.take(SPACE);
      if (this.text[this.at] !== '"') throw this.wrong('a name in quotes is missing');
      const name = this.string();
      if (found.has(name)) throw this.wrong('an object has a duplicate key');
      this.take(SPACE);
      if (this.text[this.at] !== ':') throw this.wrong('a colon is missing');
      this.at += 1;
      this.take(SPACE);
      found.set(name, this.value(depth));
    }
    return found;
  }

  private list(depth: number): Json[] {
    const found: Json[] = [];
    for (let more = !this.ends(']'); more; more = this.goesOn(']')) {
      this.take(SPACE);
      found.push(this.value(depth));
    }
    return found;
  }

  private ends(close: string): boolean {
    this.take(SPACE);
    if (this.text[this.at] !== close) return false;
    this.at += 1;
    return true;
  }

  private goesOn(close: string): boolean {
    if (this.ends(close)) return false;
    if (this.text[this.at] !== ',') throw this.wrong('a comma is missing');
    this.at += 1;
    return true;
  }

  private string(): string {
    this.at += 1;
    let found = '';
    for (;;) {
      found += this.take(PLAIN);
      const stop = this.text[this.at];
      this.at += 1;
      if (stop === '"') return found;
      if (stop !== '\\') throw this.wrong('a string does not end, or has a control character');
      found += this.escape();
    }
  }

  private escape(): string {
    const letter = this.text[this.at] ?? '';
    this.at += 1;
    const plain = ESCAPES.get(letter);
    if (plain !== undefined) return plain;
    const digits = letter === 'u' ? this.take(HEX4) : '';
    if (digits === '') throw this.wrong('an escape in a string is none of JSON');
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  private number(): Json {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (found === null) throw this.wrong('a value is missing');
    this.at = NUMBER.lastIndex;
    const value = Number(found[0]);
    if (!Number.isFinite(value)) throw this.wrong('a number is beyond every double');
    const whole = found[1] === undefined && found[2] === undefined;
    return whole && Number.isSafeInteger(value) ? value + 0 : new Double(value);
  }

  private take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? '';
    this.at += found.length;
    return found;
  }

  private wrong(what: string): Refusal {
    return malformed(told('character {place}: {what}', { place: this.at + 1, what: told(what) }));
  }
}

function malformed(reason: ReturnType<typeof told>): Refusal {
  return new Refusal('malformed_json', told('The JSON text is malformed: {reason}.', { reason }));
}
