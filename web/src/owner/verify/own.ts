/**
 * What this agent itself holds, as the verifier takes it: the charter that people here pinned, and
 * the entries that this organisation signed. Both are read from the answers as they came: numbers
 * of JSON that a program would round stay as they are.
 */
import { resemblesBundle } from '../../verify/bundle';
import { fingerprintDigits, fingerprintWords } from '../../verify/fingerprint';
import { isObject, type Json, MAX_FILE_BYTES, parseJson } from '../../verify/json';
import { parsePinned, type Pinned, type Verdict, verifyBundle } from '../../verify/verify';

export type Own = { pinned: Pinned | null; words: string; digits: string };
const SPEC = /^[0-9a-f]{64}$/;
const JOB = /^[A-Za-z0-9_-]{1,128}$/;

/** Something that was given is none of what it should be. */
export class Unfit extends Error {
  constructor(readonly what: 'bundle' | 'spec') {
    super(what);
  }
}

function member(text: string, name: string): Json {
  const value = parseJson(new TextEncoder().encode(text));
  return isObject(value) ? (value.get(name) ?? null) : null;
}

/** The pinned charter of an answer of GET /api/charter, with those before it; null for none. */
export function ownCharter(text: string): Own {
  const charter = member(text, 'pinned');
  if (!isObject(charter)) return { pinned: null, words: '', digits: '' };
  const pinned = parsePinned(new Map([...charter, ['history', member(text, 'history')]]));
  const { digest } = pinned.charter;
  return { pinned, words: fingerprintWords(digest), digits: fingerprintDigits(digest) };
}

/** The entries of an answer of GET /api/jobs/JOB/leaves; null for none, which proves nothing. */
export function ownLeaves(text: string): Json[] | null {
  const leaves = member(text, 'leaves');
  return Array.isArray(leaves) && leaves.length ? leaves : null;
}

/** Reads a dropped file; no more of it than is allowed. */
export async function readBundle(file: Blob): Promise<Json> {
  const most = file.slice(0, MAX_FILE_BYTES + 1);
  const value = parseJson(new Uint8Array(await most.arrayBuffer()));
  if (!resemblesBundle(value)) throw new Unfit('bundle');
  return value;
}

/** Which job a bundle says it is about; empty if it says none that there could be. */
export function jobOf(bundle: Json): string {
  const job = isObject(bundle) ? bundle.get('job') : null;
  return typeof job === 'string' && JOB.test(job) ? job : '';
}

/** Verifies a bundle against the pinned charter and the own entries. */
export function judged(bundle: Json, own: Own, held: Json[] | null, spec: string): Promise<Verdict> {
  if (spec && !SPEC.test(spec)) throw new Unfit('spec');
  return verifyBundle(bundle, { pinned: own.pinned, held, spec });
}
