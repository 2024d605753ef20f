/** The deeds that an anchor keeps (`secureflow.engines.anchors.entries`): their parser. */

import { hex, unhex, utf8 } from './bytes';
import { digest } from './canonical';
import { isObject, type Json, type JsonObject } from './json';
import { sha256 } from './sha256';
import { Refusal, told } from './told';

const MAX_MEMBERS = 1000;
const WHOLE = 10_000;
const SIGNATURE_WORDS = 2;
const WORD = /^[0-9a-f]{64}$/;

type Type = 'word' | 'number' | 'words' | 'numbers';
type Field = readonly [name: string, type: Type];
const JOB: Field = ['job', 'word'];
const VERSION: Field = ['version', 'number'];

/** The fields of each kind in their order, in which their faults are told. */
const KINDS = new Map<string, readonly Field[]>([
  ['anchor', [['log', 'word'], ['size', 'number'], ['root', 'word'], ['signature', 'words']]],
  ['registerJob', [JOB, ['spec', 'word']]],
  ['approveJob', [JOB, ['spec', 'word']]],
  ['commitDataset', [['dataset', 'word'], ['commitment', 'word'], ['cap', 'number']]],
  ['commitRound', [
    JOB, ['round', 'number'], ['aggregate', 'word'], ['updates', 'word'], ['attestation', 'word'],
  ]],
  ['spend', [['dataset', 'word'], JOB, ['micro', 'number']]],
  ['setContributions', [
    JOB, VERSION, ['root', 'word'], ['members', 'words'], ['shares', 'numbers'], ['rounding', 'word'],
  ]],
  ['dispute', [JOB, VERSION, ['evidence', 'word']]],
  ['withdraw', [JOB, VERSION]],
  ['split', [JOB, VERSION, ['payer', 'word'], ['amount', 'number'], ['currency', 'word']]],
  ['settle', [['payee', 'word'], ['amount', 'number'], ['currency', 'word'], ['reference', 'word']]],
  ['confirm', [['payer', 'word'], ['reference', 'word']]],
  ['admit', [['member', 'word'], ['account', 'word'], ['signature', 'words']]],
  ['remove', [['member', 'word']]],
  ['upgrade', [['successor', 'word']]],
]);

/** One deed; `digest` is the hex SHA-256 of its canonical JSON. */
export interface Entry {
  readonly kind: string;
  readonly fields: JsonObject;
  readonly digest: string;
}

/** A head of a log: what `anchor` holds. */
export interface AnchoredHead {
  readonly log: string;
  readonly size: number;
  readonly root: Uint8Array;
  readonly signature: Uint8Array;
}

/** Parse an entry; throws a `Refusal` with code `malformed_entry`. */
export function parseEntry(value: Json): Entry {
  const kind = isObject(value) ? value.get('kind') : undefined;
  const fields = typeof kind === 'string' ? KINDS.get(kind) : undefined;
  if (!isObject(value) || typeof kind !== 'string' || fields === undefined) {
    throw malformed('?', 'kind');
  }
  if (value.size !== fields.length + 1 || !fields.every(([name]) => value.has(name))) {
    throw malformed(kind, 'kind');
  }
  for (const [name, type] of fields) {
    if (!isShaped(value.get(name) ?? null, type)) throw malformed(kind, name);
  }
  for (const [name, type] of fields) {
    if (!isCounted(value.get(name) ?? null, type)) throw malformed(kind, name);
  }
  checkTogether(kind, value);
  return { kind, fields: value, digest: digest(value) };
}

/** Return the head that an entry anchors; null of another deed. */
export function headOf({ kind, fields }: Entry): AnchoredHead | null {
  if (kind !== 'anchor') return null;
  const text = (name: string): string => String(fields.get(name));
  return {
    log: text('log'),
    size: Number(fields.get('size')),
    root: unhex(text('root')),
    signature: unhex(wordsOf(fields, 'signature').join('')),
  };
}

/** Return what stands for a job's id, or for a log's origin. */
export function standsFor(what: 'job' | 'log', name: string): string {
  return hex(sha256(utf8(`secureflow anchor ${what} v1\0${name}`)));
}

/** What Python reads first: 32-byte words, and lists of the right length. */
function isShaped(value: Json, type: Type): boolean {
  if (type === 'number') return true;
  if (type === 'word') return typeof value === 'string' && WORD.test(value);
  if (!Array.isArray(value) || value.length > MAX_MEMBERS) return false;
  return type === 'numbers' || value.every((one) => isShaped(one, 'word'));
}

/** What it checks then: whole numbers. */
function isCounted(value: Json, type: Type): boolean {
  if (type === 'number') return typeof value === 'number' && value >= 0;
  if (type !== 'numbers') return true;
  return Array.isArray(value) && value.every((one) => isCounted(one, 'number'));
}

function checkTogether(kind: string, fields: JsonObject): void {
  const signed = kind === 'anchor' || kind === 'admit';
  if (signed && wordsOf(fields, 'signature').length !== SIGNATURE_WORDS) {
    throw malformed(kind, 'signature');
  }
  if (kind !== 'setContributions') return;
  const members = wordsOf(fields, 'members');
  const listed = fields.get('shares');
  const shares = Array.isArray(listed) ? listed.map(Number) : [];
  const ascending = members.every((one, at) => at === 0 || (members[at - 1] ?? '') < one);
  if (!ascending || members.length !== shares.length || members.length === 0) {
    throw malformed(kind, 'members');
  }
  if (shares.reduce((sum, one) => sum + one, 0) !== WHOLE) throw malformed(kind, 'shares');
  if (!members.includes(String(fields.get('rounding')))) throw malformed(kind, 'rounding');
}

function wordsOf(fields: JsonObject, name: string): string[] {
  const listed = fields.get(name);
  return Array.isArray(listed) ? listed.map(String) : [];
}

function malformed(kind: string, field: string): Refusal {
  return new Refusal(
    'malformed_entry',
    told('An entry for an anchor is malformed: {kind}, field {field}.', { kind, field }),
  );
}
