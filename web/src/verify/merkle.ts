/**
 * The two proofs of RFC 9162 (sections 2.1.3.2 and 2.1.4.2) over SHA-256.
 *
 * Both verifiers are total: whatever a foreign party sends, they return true or false. Sizes are
 * `bigint`: a checkpoint's may be greater than 2^53.
 */

import { concat, same } from './bytes';
import { sha256 } from './sha256';

/** No log grows to this size. */
export const MAX_SIZE = 1n << 62n;
export const HASH_BYTES = 32;
export const EMPTY_ROOT = sha256(new Uint8Array());
const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** Return the hash of one leaf's data. */
export function leafHash(data: Uint8Array): Uint8Array {
  return sha256(concat(LEAF, data));
}

function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(concat(NODE, left, right));
}

/** Tell whether a leaf hash is leaf `index` of the tree of `size` leaves under `root`. */
export function verifyInclusion(
  leaf: Uint8Array,
  index: bigint,
  size: bigint,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!isSize(index) || !isSize(size) || index >= size) return false;
  if (![leaf, root, ...proof].every(isHash)) return false;
  let [position, last, node] = [index, size - 1n, leaf];
  for (const sibling of proof) {
    if (last === 0n) return false;
    if (position & 1n || position === last) {
      node = nodeHash(sibling, node);
      [position, last] = pastLoneLevels(position, last);
    } else {
      node = nodeHash(node, sibling);
    }
    position >>= 1n;
    last >>= 1n;
  }
  return last === 0n && same(node, root);
}

/** Tell whether the tree under `newRoot` extends the one under `oldRoot`; never from size 0. */
export function verifyConsistency(
  oldSize: bigint,
  newSize: bigint,
  oldRoot: Uint8Array,
  newRoot: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (!isSize(oldSize) || !isSize(newSize) || oldSize === 0n || oldSize > newSize) return false;
  if (![oldRoot, newRoot, ...proof].every(isHash)) return false;
  if (oldSize === newSize) return proof.length === 0 && same(oldRoot, newRoot);
  const path = (oldSize & (oldSize - 1n)) === 0n ? [oldRoot, ...proof] : [...proof];
  return path.length > 0 && rootsMatch(oldSize, newSize, oldRoot, newRoot, path);
}

function rootsMatch(
  oldSize: bigint,
  newSize: bigint,
  oldRoot: Uint8Array,
  newRoot: Uint8Array,
  path: readonly Uint8Array[],
): boolean {
  let [position, last] = [oldSize - 1n, newSize - 1n];
  while (position & 1n) {
    position >>= 1n;
    last >>= 1n;
  }
  const [first = EMPTY_ROOT, ...rest] = path;
  let [before, after] = [first, first];
  for (const sibling of rest) {
    if (last === 0n) return false;
    if (position & 1n || position === last) {
      before = nodeHash(sibling, before);
      after = nodeHash(sibling, after);
      [position, last] = pastLoneLevels(position, last);
    } else {
      after = nodeHash(after, sibling);
    }
    position >>= 1n;
    last >>= 1n;
  }
  return last === 0n && same(before, oldRoot) && same(after, newRoot);
}

/** Climb past the levels at which the right-most node has no sibling and is carried up. */
function pastLoneLevels(position: bigint, last: bigint): [bigint, bigint] {
  while (position !== 0n && !(position & 1n)) {
    position >>= 1n;
    last >>= 1n;
  }
  return [position, last];
}

function isSize(value: bigint): boolean {
  return value >= 0n && value < MAX_SIZE;
}

function isHash(value: Uint8Array): boolean {
  return value.length === HASH_BYTES;
}
