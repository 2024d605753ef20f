/** A party's own stored leaves compared with a bundle (`secureflow.engines.ledger.held`). */

import { type Bundle, MAX_ENTRIES, MAX_PROOF } from './bundle';
import { unhex } from './bytes';
import { type AuthorEnd, CLOSED } from './ends';
import { SERVER } from './findings';
import { isObject, type Json, type JsonObject } from './json';
import { leafSignedBy, parseLeaf, type SignedLeaf } from './leaves';
import { verifyInclusion } from './merkle';
import type { Signatures } from './signatures';
import { Refusal, told, type Told } from './told';

const HASH = /^[0-9a-f]{64}$/;
export type Standing = 'in the story' | 'contradicts' | 'not provable' | 'foreign';

/** The standing of a leaf that its author kept; `reason` says why. */
export interface HeldLeaf {
  readonly author: string;
  readonly kind: string;
  readonly hash: string;
  readonly standing: Standing;
  readonly reason: Told | null;
}

/** What the kept leaves are compared with. */
interface Beside {
  readonly bundle: Bundle;
  readonly there: ReadonlySet<string>;
  readonly ended: ReadonlySet<string>;
  readonly keys: ReadonlyMap<string, string>;
  readonly origins: ReadonlySet<string>;
  readonly signatures: Signatures;
}

/** Judge a foreign list of leaves; throws a `Refusal` if it is malformed. */
export async function judgeHeld(
  bundle: Bundle,
  ends: readonly AuthorEnd[],
  keys: ReadonlyMap<string, string>,
  value: Json,
  origins: ReadonlySet<string>,
  signatures: Signatures,
): Promise<HeldLeaf[]> {
  if (!Array.isArray(value) || value.length > MAX_ENTRIES) {
    throw malformed(
      told('they must be a list of at most {max_entries} entries', { max_entries: MAX_ENTRIES }),
    );
  }
  const beside: Beside = {
    bundle,
    there: new Set(bundle.entries.map((entry) => entry.signed.hash)),
    ended: new Set(ends.filter((end) => end.signed).map((end) => end.author)),
    keys,
    origins: new Set([...origins, bundle.origin]),
    signatures,
  };
  const found: HeldLeaf[] = [];
  for (const one of value) found.push(await judge(beside, one));
  return found;
}

/** Return the name of a kept leaf in failures. */
export function titleOf({ hash, kind, author }: HeldLeaf): Told {
  return told('the leaf {hash} ({kind} by {author})', { hash, kind, author });
}

async function judge(beside: Beside, value: Json): Promise<HeldLeaf> {
  if (!isObject(value)) throw malformed(told('each of them must be an object'));
  const signed = parseLeaf(value.get('leaf'));
  const { author, kind, job, origin } = signed.leaf;
  const found = (standing: Standing, reason: Told | null = null): HeldLeaf => ({
    author, kind, hash: signed.hash, standing, reason,
  });
  const { bundle } = beside;
  const foreign = job !== bundle.job || !beside.origins.has(origin);
  if (foreign || !bundle.roster.includes(author)) {
    return found('foreign', told('it belongs to another job, log or author'));
  }
  const key = beside.keys.get(author);
  if (key === undefined || !(await leafSignedBy(signed, key, beside.signatures))) {
    return found('foreign', told('the key of {author} did not sign it', { author }));
  }
  if (beside.there.has(signed.hash)) return found('in the story');
  if (stoodBeforeTheEnd(bundle, signed, value)) {
    const left = "it is in the log before the job's end, which left it out";
    return found('contradicts', told(left));
  }
  if (beside.ended.has(author)) {
    return found('contradicts', told('the end that {author} signed does not count it', { author }));
  }
  const word = "{author} signed no end: there is only the centre's word";
  return found('not provable', told(word, { author }));
}

function stoodBeforeTheEnd(bundle: Bundle, signed: SignedLeaf, value: JsonObject): boolean {
  const [index, proof] = [value.get('index'), value.get('proof')];
  if (typeof index !== 'number' || !Array.isArray(proof) || proof.length > MAX_PROOF) return false;
  const path: Uint8Array[] = [];
  for (const one of proof) {
    if (typeof one !== 'string' || !HASH.test(one)) return false;
    path.push(unhex(one));
  }
  const close = bundle.entries.find(
    ({ signed: { leaf } }) => leaf.author === SERVER && leaf.kind === CLOSED,
  );
  const { size, root } = bundle.note.checkpoint;
  const proven = verifyInclusion(signed.node, BigInt(index), size, path, root);
  return proven && close !== undefined && index < close.index;
}

function malformed(reason: Told): Refusal {
  return new Refusal(
    'malformed_bundle',
    told('The leaves to compare with the bundle are malformed: {reason}.', { reason }),
  );
}
