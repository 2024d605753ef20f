/** The JSON of audit bundles: its parser (`secureflow.engines.ledger.bundle_format`). */

import { unhex } from './bytes';
import { canonicalBytes, digest } from './canonical';
import { parseSignedCharter, type SignedCharter } from './charter';
import { deeperThan, isObject, type Json, type JsonObject } from './json';
import { commitment, parseLeaf, SALT_BYTES, type SignedLeaf } from './leaves';
import { type Note, parseNote } from './notes';
import { Refusal, told, type Told } from './told';

export const MAX_ENTRIES = 200_000;
export const MAX_PROOF = 64;
const MAX_ANCHORS = 1000;
const OPTIONAL = ['history', 'anchors'];
const MAX_ROSTER = 256;
const MAX_HISTORY = 256;
const MAX_DEPTH = 100;
const LEAST_FIELDS = 3;
const HASH = /^[0-9a-f]{64}$/;
const FIELDS = ['charter', 'entries', 'job', 'note', 'origin', 'roster', 'spec', 'v'];
const ENTRY_FIELDS = ['index', 'leaf', 'proof'];
const OPENED_FIELDS = [...ENTRY_FIELDS, 'document', 'salt'];

/** One leaf with its index, its inclusion proof and, if `opened`, its document. */
export interface Entry {
  readonly index: number;
  readonly signed: SignedLeaf;
  readonly proof: readonly Uint8Array[];
  readonly document: Json;
  readonly opened: boolean;
  /** Whether document and salt open the leaf's commitment; true of an entry without them. */
  readonly opens: boolean;
  readonly title: string;
}

/** A parsed bundle; `contributors` are the (party, key) lines of its spec's roster. */
export interface Bundle {
  readonly origin: string;
  readonly note: Note;
  readonly job: string;
  readonly spec: JsonObject;
  readonly specDigest: string;
  readonly roster: readonly string[];
  readonly contributors: readonly (readonly [string, string])[];
  readonly charter: string;
  readonly entries: readonly Entry[];
  readonly history: readonly SignedCharter[];
  /** Members' statements as they came: the record does not depend on them. */
  readonly anchors: readonly Json[];
}

/** Tell whether a value is a bundle, however damaged, and no report, spec, charter or model. */
export function resemblesBundle(value: Json): boolean {
  return isObject(value) && FIELDS.filter((name) => value.has(name)).length >= LEAST_FIELDS;
}

/** Parse a bundle; throws a `Refusal`: `malformed_bundle`, `…_note`, `…_leaf` or `…_charter`. */
export function parseBundle(value: Json): Bundle {
  const fields = checkedFields(value);
  const text = (name: string): string => {
    const one = fields.get(name);
    if (typeof one === 'string') return one;
    throw malformed(told('{name} must be a string', { name }));
  };
  const [origin, noted, job, charter] = [text('origin'), text('note'), text('job'), text('charter')];
  const listed = fields.get('entries');
  if (!Array.isArray(listed) || listed.length > MAX_ENTRIES) {
    throw malformed(
      told('entries must be a list of at most {max_entries} entries', { max_entries: MAX_ENTRIES }),
    );
  }
  const note = parseNote(noted);
  const roster = parseRoster(fields.get('roster') ?? null);
  const [spec, contributors] = parseContributors(fields.get('spec') ?? null);
  const entries = listed.map(parseEntry);
  const history = parseHistory(fields.has('history') ? (fields.get('history') ?? null) : []);
  const anchors = parseAnchors(fields.has('anchors') ? (fields.get('anchors') ?? null) : []);
  const specDigest = digest(spec);
  return {
    origin, note, job, spec, specDigest, roster, contributors, charter, entries, history, anchors,
  };
}

function checkedFields(value: Json): JsonObject {
  const names = isObject(value) ? [...value.keys()].filter((name) => !OPTIONAL.includes(name)) : [];
  const exact = names.length === FIELDS.length && FIELDS.every((name) => names.includes(name));
  if (!isObject(value) || !exact || value.get('v') !== 1) {
    throw malformed(told('it needs v = 1 and exactly {fields}', { fields: FIELDS.join(', ') }));
  }
  if (deeperThan(value, MAX_DEPTH)) {
    throw malformed(told('it is nested deeper than {most} levels', { most: MAX_DEPTH }));
  }
  return value;
}

/** Parse the charters of a bundle, or those beside a pinned one. */
export function parseHistory(value: Json): SignedCharter[] {
  if (!Array.isArray(value) || value.length > MAX_HISTORY) {
    throw malformed(
      told('history must be a list of at most {max_history} charters', { max_history: MAX_HISTORY }),
    );
  }
  return value.map(parseSignedCharter);
}

function parseAnchors(value: Json): Json[] {
  if (!Array.isArray(value) || value.length > MAX_ANCHORS) {
    throw malformed(
      told('anchors must be a list of at most {max_anchors} entries', { max_anchors: MAX_ANCHORS }),
    );
  }
  return value;
}

function parseRoster(value: Json): string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_ROSTER) {
    throw malformed(
      told('roster must be a list of 1 to {max_roster} parties', { max_roster: MAX_ROSTER }),
    );
  }
  const parties = value.filter((one) => typeof one === 'string');
  if (parties.length !== value.length || new Set(parties).size !== parties.length) {
    throw malformed(told('roster must name each party once'));
  }
  return parties;
}

function parseContributors(spec: Json): [JsonObject, (readonly [string, string])[]] {
  const lines = isObject(spec) ? spec.get('roster') : undefined;
  if (!isObject(spec) || !Array.isArray(lines) || lines.length > MAX_ROSTER) {
    throw malformed(told('spec must be a job spec with a roster'));
  }
  canonicalBytes(spec);
  const pairs = lines.map((line) => {
    const [party, key] = isObject(line) ? [line.get('party'), line.get('key')] : [];
    if (typeof party === 'string' && typeof key === 'string') return [party, key] as const;
    throw malformed(told("a line of the spec's roster has no party or no key"));
  });
  return [spec, pairs];
}

function parseEntry(value: Json): Entry {
  if (!isObject(value) || !isEntry(value)) {
    throw malformed(
      told('an entry needs index, leaf and proof, and may have document with salt'),
    );
  }
  const index = value.get('index');
  if (typeof index !== 'number' || index < 0) {
    throw malformed(told("an entry's index is out of range"));
  }
  const listed = value.get('proof');
  if (!Array.isArray(listed) || listed.length > MAX_PROOF) {
    throw malformed(
      told('the proof of entry {index} must be a list of at most {max_proof} hashes', {
        index,
        max_proof: MAX_PROOF,
      }),
    );
  }
  const proof = listed.map((one) => parseHash(one, told('the proof of entry {index}', { index })));
  const signed = parseLeaf(value.get('leaf'));
  const title = `entry ${index} (${signed.leaf.kind} by ${signed.leaf.author})`;
  const closed = { index, signed, proof, title };
  const salted = value.get('salt');
  if (salted === undefined) return { ...closed, document: null, opened: false, opens: true };
  const salt = parseHash(salted, told('the salt of entry {index}', { index }));
  const document = value.get('document') ?? null;
  const opens = commitment(salt, document) === signed.leaf.commitment;
  return { ...closed, document, opened: true, opens };
}

function isEntry(value: JsonObject): boolean {
  return [ENTRY_FIELDS, OPENED_FIELDS].some(
    (names) => value.size === names.length && names.every((name) => value.has(name)),
  );
}

function parseHash(value: Json, what: Told): Uint8Array {
  if (typeof value === 'string' && HASH.test(value)) return unhex(value);
  throw malformed(told('{what} must be hex of {salt_bytes} bytes', { what, salt_bytes: SALT_BYTES }));
}

function malformed(reason: Told): Refusal {
  return new Refusal(
    'malformed_bundle',
    told('The audit bundle is malformed: {reason}.', { reason }),
  );
}
