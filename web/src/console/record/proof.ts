/**
 * One entry, checked in this browser: its leaf, its signature, its document, its place in the tree.
 *
 * All of it came from the centre, so it shows only that the centre's answers agree with each other
 * and with the head that they name: whether that is the head that others saw, only a bundle that is
 * verified under a pinned charter can tell.
 */
import { hex, unhex, utf8 } from '../../verify/bytes';
import { isObject, type Json, type JsonObject, parseJson } from '../../verify/json';
import { commitment, leafSignedBy, parseLeaf, type SignedLeaf } from '../../verify/leaves';
import { verifyInclusion } from '../../verify/merkle';
import { parseNote } from '../../verify/notes';
import type { Signatures } from '../../verify/signatures';
import { Refusal, type Told } from '../../verify/told';

export const STEPS = ['leaf', 'signature', 'document', 'inclusion'] as const;
export type Step = (typeof STEPS)[number];
/** `hidden`: the caller may not see what it takes. */
export type Found = 'holds' | 'fails' | 'hidden';
export type Checked = { step: Step; found: Found; why?: Told };
export type Proof = { checks: Checked[]; size: string; root: string };

const HASH = /^[0-9a-f]{64}$/;
const MOST_HASHES = 64;

/** The one entry of an answer of `audit/entries`, read strictly; none if it is another. */
export function entryIn(text: string, index: number): JsonObject | null {
  const answer = parseJson(utf8(text));
  const items = isObject(answer) ? answer.get('items') : undefined;
  const one = Array.isArray(items) ? items[0] : undefined;
  return isObject(one) && one.get('index') === index ? one : null;
}

/** Checks an entry against a note and the hashes of its inclusion proof. */
export async function checkEntry(
  entry: JsonObject,
  note: string,
  hashes: readonly string[],
  signatures: Signatures,
): Promise<Proof> {
  const checks: Checked[] = [];
  const hash = entry.get('hash');
  const leaf = leafOf(entry, checks);
  if (leaf) {
    const signed = await leafSignedBy(leaf, leaf.key, signatures);
    checks.push({ step: 'signature', found: signed ? 'holds' : 'fails' });
    checks.push({ step: 'document', found: opened(entry, leaf) });
  } else {
    const found = entry.has('leaf') ? 'fails' : 'hidden';
    checks.push({ step: 'signature', found }, { step: 'document', found });
  }
  const { checkpoint } = parseNote(note);
  const node = leaf?.node ?? (isHash(hash) ? unhex(hash) : null);
  const index = entry.get('index');
  const known = typeof index === 'number' && node !== null && hashes.length <= MOST_HASHES;
  const included =
    known &&
    hashes.every(isHash) &&
    verifyInclusion(node, BigInt(index), checkpoint.size, hashes.map(unhex), checkpoint.root);
  checks.push({ step: 'inclusion', found: included ? 'holds' : 'fails' });
  return { checks, size: String(checkpoint.size), root: hex(checkpoint.root) };
}

function isHash(value: Json | undefined): value is string {
  return typeof value === 'string' && HASH.test(value);
}

/** The entry's leaf, if it is well-formed and has the hash that the entry says. */
function leafOf(entry: JsonObject, checks: Checked[]): SignedLeaf | null {
  if (!entry.has('leaf')) {
    checks.push({ step: 'leaf', found: 'hidden' });
    return null;
  }
  try {
    const leaf = parseLeaf(entry.get('leaf'));
    checks.push({ step: 'leaf', found: leaf.hash === entry.get('hash') ? 'holds' : 'fails' });
    return leaf;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    checks.push({ step: 'leaf', found: 'fails', why: error.told });
    return null;
  }
}

/** Whether the document is the one that the leaf commits to. */
function opened(entry: JsonObject, leaf: SignedLeaf): Found {
  const salt = entry.get('salt');
  if (salt === undefined) return 'hidden';
  if (!isHash(salt)) return 'fails';
  try {
    const found = commitment(unhex(salt), entry.get('document') ?? null);
    return found === leaf.leaf.commitment ? 'holds' : 'fails';
  } catch (error) {
    if (error instanceof Refusal) return 'fails';
    throw error;
  }
}
