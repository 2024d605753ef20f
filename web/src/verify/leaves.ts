/** One entry of the log: a leaf, signed by its author (`secureflow.engines.ledger.leaves`). */

import { concat, hex, utf8 } from './bytes';
import { canonicalBytes, canonicalText } from './canonical';
import { isObject, type Json, type JsonObject } from './json';
import { leafHash } from './merkle';
import { isKeyName } from './notes';
import { sha256 } from './sha256';
import { type Signatures, signedMessage } from './signatures';
import { unbase64 } from './bytes';
import { Refusal, told, type Told } from './told';

export const SALT_BYTES = 32;
const FIELDS = ['at', 'author', 'commitment', 'job', 'kind', 'origin', 'prev', 'spec', 'v'];
const KIND = /^[a-z][a-z0-9_.-]{0,63}$/;
const JOB = /^[A-Za-z0-9_.-]{0,64}$/;
const AUTHOR = /^[a-z0-9][a-z0-9-]{0,62}$/;
const DIGEST = /^[0-9a-f]{64}$/;
const KEY = /^[A-Za-z0-9+/]{43}=$/;
const SIGNATURE = /^[A-Za-z0-9+/]{86}==$/;

/** The body that the author signs; `prev` is the hash of the author's leaf before, or "". */
export interface Leaf {
  readonly kind: string;
  readonly origin: string;
  readonly author: string;
  readonly at: number;
  readonly commitment: string;
  readonly job: string;
  readonly spec: string;
  readonly prev: string;
}

/** A leaf with its author's base64 key and signature; `hash` is its hex RFC 9162 leaf hash. */
export interface SignedLeaf {
  readonly leaf: Leaf;
  readonly body: JsonObject;
  readonly key: string;
  readonly signature: string;
  readonly node: Uint8Array;
  readonly hash: string;
}

/** Return the hex SHA-256 over a salt and a document's canonical JSON. */
export function commitment(salt: Uint8Array, document: Json): string {
  return hex(sha256(concat(salt, canonicalBytes(document))));
}

/** Tell whether a leaf carries the expected base64 key and that key's signature. */
export function leafSignedBy(one: SignedLeaf, key: string, signatures: Signatures): Promise<boolean> {
  if (one.key !== key) return Promise.resolve(false);
  return signatures.holds(key, signedMessage('leaf', one.body), unbase64(one.signature, 128));
}

/** Build a signed leaf from foreign JSON; throws a `Refusal` with code `malformed_leaf`. */
export function parseLeaf(value: Json | undefined): SignedLeaf {
  if (!isObject(value) || !hasExactly(value, ['key', 'leaf', 'signature'])) {
    throw malformed(told('it needs exactly leaf, key and signature'));
  }
  const body = value.get('leaf');
  const key = value.get('key');
  const signature = value.get('signature');
  if (!isObject(body) || !hasExactly(body, FIELDS)) {
    throw malformed(told('its body needs exactly {fields}', { fields: FIELDS.join(', ') }));
  }
  if (typeof key !== 'string' || !KEY.test(key)) {
    throw malformed(told('its key is no base64 of 32 bytes'));
  }
  if (typeof signature !== 'string' || !SIGNATURE.test(signature)) {
    throw malformed(told('its signature is no base64 of 64 bytes'));
  }
  const leaf = parseBody(body);
  const node = leafHash(utf8(canonicalText(value)));
  return { leaf, body, key, signature, node, hash: hex(node) };
}

/** Tell whether an object has exactly these names. */
export function hasExactly(value: JsonObject, names: readonly string[]): boolean {
  return value.size === names.length && names.every((name) => value.has(name));
}

function parseBody(body: JsonObject): Leaf {
  const [kind, author, job, commits, spec, prev] = [
    'kind', 'author', 'job', 'commitment', 'spec', 'prev',
  ].map((name) => body.get(name));
  if (
    typeof kind !== 'string' || typeof author !== 'string' || typeof job !== 'string' ||
    typeof commits !== 'string' || typeof spec !== 'string' || typeof prev !== 'string'
  ) {
    throw malformed(told('a field that should be text is none'));
  }
  const origin = body.get('origin') ?? null;
  const at = body.get('at');
  const rules: [string, boolean][] = [
    ['v', body.get('v') === 1],
    ['kind', KIND.test(kind)],
    ['origin', isKeyName(origin)],
    ['author', AUTHOR.test(author)],
    ['job', JOB.test(job)],
    ['spec', spec === '' || DIGEST.test(spec)],
    ['prev', prev === '' || DIGEST.test(prev)],
    ['commitment', DIGEST.test(commits)],
    ['at', typeof at === 'number' && at >= 0],
  ];
  const wrong = rules.filter(([, right]) => !right).map(([name]) => name);
  if (wrong.length > 0) throw malformed(told(`${wrong.join(', ')} not as the format demands`));
  return {
    kind, origin: String(origin), author, at: Number(at), commitment: commits, job, spec, prev,
  };
}

function malformed(reason: Told): Refusal {
  return new Refusal('malformed_leaf', told('The ledger leaf is malformed: {reason}.', { reason }));
}
