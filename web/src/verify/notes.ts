/**
 * Checkpoints as signed notes (C2SP tlog-checkpoint, signed-note) and cosignatures.
 *
 * The rules are those of `secureflow.engines.ledger.notes`; unknown keys and types are ignored, as
 * the format demands, and anything else is refused.
 */

import { base64, concat, length, same, unbase64, utf8 } from './bytes';
import type { Json } from './json';
import { EMPTY_ROOT, HASH_BYTES, MAX_SIZE } from './merkle';
import { isVisible } from './plain';
import { sha256 } from './sha256';
import { publicKey, type Signatures } from './signatures';
import { Refusal, told, type Told } from './told';

const MAX_NOTE_BYTES = 64 << 10;
const MAX_SIGNATURES = 300;
const MAX_NAME = 255;
const LOG_KEY = 1;
const COSIGNATURE_KEY = 4;
const COSIGNATURE_BYTES = 72;
const DASH = '\u2014 ';
const SIZE = /^(?:0|[1-9][0-9]{0,18})$/;

/** A log's statement about itself. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: bigint;
  readonly root: Uint8Array;
}

interface NoteSignature {
  readonly name: string;
  readonly keyId: Uint8Array;
  readonly blob: Uint8Array;
}

/** A parsed note. It proves nothing until `signedByLog` or `cosigners` is asked. */
export interface Note {
  readonly checkpoint: Checkpoint;
  readonly signatures: readonly NoteSignature[];
}

/** Return the exact text that the log signs. */
export function checkpointText(one: Checkpoint): string {
  return `${one.origin}\n${one.size}\n${base64(one.root)}\n`;
}

/** Parse a foreign note; throws a `Refusal` with code `malformed_note`. */
export function parseNote(text: string): Note {
  if (encodedLength(text) > MAX_NOTE_BYTES) {
    throw malformed(
      told('it has more than {max_note_bytes} bytes', { max_note_bytes: MAX_NOTE_BYTES }),
    );
  }
  const lines = text.split('\n');
  if (lines.length > MAX_SIGNATURES + 5) {
    throw malformed(
      told('it has more than {max_signatures} signature lines', { max_signatures: MAX_SIGNATURES }),
    );
  }
  if (lines.length < 6 || lines[3] !== '' || lines.at(-1) !== '') {
    throw malformed(
      told('it is not three lines, an empty line and at least one signature line'),
    );
  }
  const [origin = '', size = '', root = ''] = lines;
  const checkpoint = parseCheckpoint(origin, size, root);
  return { checkpoint, signatures: lines.slice(4, -1).map(parseSignature) };
}

/** Tell whether a name is valid in a signature line: printable, without spaces or `+`. */
export function isKeyName(name: Json): name is string {
  if (typeof name !== 'string' || name === '' || length(name) > MAX_NAME) return false;
  return isVisible(name) && !name.includes('+');
}

/** Tell whether the log's base64 key signed this checkpoint under the origin's name. */
export async function signedByLog(note: Note, key: string, signatures: Signatures): Promise<boolean> {
  const { origin } = note.checkpoint;
  const message = utf8(checkpointText(note.checkpoint));
  const expected = keyId(origin, key, LOG_KEY);
  for (const one of note.signatures) {
    const named = one.name === origin && same(one.keyId, expected);
    if (named && (await signatures.holds(key, message, one.blob))) return true;
  }
  return false;
}

/** Return the names, among name → base64 key, that validly cosigned this checkpoint. */
export async function cosigners(
  note: Note,
  keys: ReadonlyMap<string, string>,
  signatures: Signatures,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const one of note.signatures) {
    const key = keys.get(one.name);
    if (key !== undefined && (await cosigned(note.checkpoint, one, key, signatures))) {
      found.add(one.name);
    }
  }
  return found;
}

async function cosigned(
  checkpoint: Checkpoint,
  one: NoteSignature,
  key: string,
  signatures: Signatures,
): Promise<boolean> {
  if (!same(one.keyId, keyId(one.name, key, COSIGNATURE_KEY))) return false;
  if (one.blob.length !== COSIGNATURE_BYTES) return false;
  const time = one.blob.subarray(0, 8).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const message = utf8(`cosignature/v1\ntime ${time}\n${checkpointText(checkpoint)}`);
  return signatures.holds(key, message, one.blob.subarray(8));
}

/** Return the four-byte C2SP key id of a base64 Ed25519 key under a name. */
function keyId(name: string, key: string, kind: number): Uint8Array {
  const raw = publicKey(key) ?? new Uint8Array();
  return sha256(concat(utf8(`${name}\n`), Uint8Array.of(kind), raw)).subarray(0, 4);
}

function parseCheckpoint(origin: string, size: string, root: string): Checkpoint {
  if (!SIZE.test(size)) throw malformed(told('line 2 must be a decimal size'));
  const parsed = { origin, size: BigInt(size), root: decoded(root, 64, told('line 3')) };
  if (!isKeyName(origin)) {
    throw malformed(told("line 1 must be an origin: printable text without spaces or '+'"));
  }
  if (parsed.size >= MAX_SIZE) throw malformed(told('line 2 is out of range'));
  if (parsed.root.length !== HASH_BYTES) throw malformed(told('line 3 must be a 32-byte root'));
  if (parsed.size === 0n && !same(parsed.root, EMPTY_ROOT)) {
    throw malformed(told('an empty log has only one root'));
  }
  return parsed;
}

function parseSignature(line: string): NoteSignature {
  const rest = line.startsWith(DASH) ? line.slice(DASH.length) : line;
  const space = rest.indexOf(' ');
  const name = space < 0 ? rest : rest.slice(0, space);
  if (!line.startsWith(DASH) || !isKeyName(name)) {
    throw malformed(told('a signature line must begin with a dash and a key name'));
  }
  const encoded = space < 0 ? '' : rest.slice(space + 1);
  const blob = decoded(encoded, MAX_NOTE_BYTES, told('the signature of {name}', { name }));
  if (blob.length < 5) {
    throw malformed(told('the signature of {name} is shorter than a key id and a byte', { name }));
  }
  return { name, keyId: blob.subarray(0, 4), blob: blob.subarray(4) };
}

/** Return the length in UTF-8 with half surrogate pairs replaced by one byte each, as in Python. */
function encodedLength(text: string): number {
  return utf8(text.replace(/[\ud800-\udfff]/gu, '?')).length;
}

function decoded(text: string, limit: number, what: Told): Uint8Array {
  const data = unbase64(text, limit);
  if (data === null) throw malformed(told('{what} is not base64', { what }));
  return data;
}

function malformed(reason: Told): Refusal {
  return new Refusal(
    'malformed_note',
    told('The checkpoint note is malformed: {reason}.', { reason }),
  );
}
