/** scrypt (RFC 7914) with p = 1, over HMAC-SHA256: as much as a charter's fingerprint needs. */

import { concat } from './bytes';
import { sha256 } from './sha256';

const HASH_BLOCK = 64;
const WORDS = 16;

/** Return `size` ≤ 32 bytes; `cost` is a power of two, `blockSize` the r of the RFC. */
export function scrypt(
  secret: Uint8Array,
  salt: Uint8Array,
  cost: number,
  blockSize: number,
  size: number,
): Uint8Array {
  const bytes = 128 * blockSize;
  const mixed = words(pbkdf2(secret, salt, bytes));
  romix(mixed, cost, blockSize);
  return pbkdf2(secret, unwords(mixed), size);
}

/** PBKDF2 with one iteration. */
function pbkdf2(secret: Uint8Array, salt: Uint8Array, size: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let block = 1; 32 * parts.length < size; block++) {
    const number = new DataView(new ArrayBuffer(4));
    number.setUint32(0, block);
    parts.push(hmac(secret, concat(salt, new Uint8Array(number.buffer))));
  }
  return concat(...parts).subarray(0, size);
}

function hmac(secret: Uint8Array, message: Uint8Array): Uint8Array {
  const key = new Uint8Array(HASH_BLOCK);
  key.set(secret.length > HASH_BLOCK ? sha256(secret) : secret);
  const inner = sha256(concat(key.map((byte) => byte ^ 0x36), message));
  return sha256(concat(key.map((byte) => byte ^ 0x5c), inner));
}

function romix(block: Uint32Array, cost: number, blockSize: number): void {
  const table = new Uint32Array(cost * block.length);
  for (let step = 0; step < cost; step++) {
    table.set(block, step * block.length);
    blockMix(block, blockSize);
  }
  const last = (2 * blockSize - 1) * WORDS;
  for (let step = 0; step < cost; step++) {
    const from = ((block[last] as number) & (cost - 1)) * block.length;
    for (let at = 0; at < block.length; at++) {
      block[at] = (block[at] as number) ^ (table[from + at] as number);
    }
    blockMix(block, blockSize);
  }
}

function blockMix(block: Uint32Array, blockSize: number): void {
  const result = new Uint32Array(block.length);
  const x = block.slice(block.length - WORDS);
  for (let part = 0; part < 2 * blockSize; part++) {
    for (let at = 0; at < WORDS; at++) {
      x[at] = (x[at] as number) ^ (block[part * WORDS + at] as number);
    }
    salsa(x);
    result.set(x, ((part >> 1) + (part % 2) * blockSize) * WORDS);
  }
  block.set(result);
}

/** Salsa20/8, in place. */
function salsa(block: Uint32Array): void {
  const x = block.slice();
  for (let round = 0; round < 4; round++) {
    for (let at = 0; at < 4; at++) quarter(x, 5 * at, 4, at);
    for (let at = 0; at < 4; at++) quarter(x, 5 * at, 1, at);
  }
  for (let at = 0; at < WORDS; at++) block[at] = (block[at] as number) + (x[at] as number);
}

/** One quarter round: down the column (`step` 4) or along the row (`step` 1) of a diagonal word. */
function quarter(x: Uint32Array, start: number, step: number, at: number): void {
  const place = (by: number): number =>
    step === 4 ? (start + 4 * by) % WORDS : 4 * at + ((at + by) % 4);
  const [a, b, c, d] = [place(0), place(1), place(2), place(3)];
  add(x, b, a, d, 7);
  add(x, c, b, a, 9);
  add(x, d, c, b, 13);
  add(x, a, d, c, 18);
}

function add(x: Uint32Array, to: number, one: number, other: number, by: number): void {
  const sum = ((x[one] as number) + (x[other] as number)) | 0;
  x[to] = (x[to] as number) ^ ((sum << by) | (sum >>> (32 - by)));
}

function words(data: Uint8Array): Uint32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Uint32Array.from({ length: data.length / 4 }, (_, at) => view.getUint32(4 * at, true));
}

function unwords(data: Uint32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * data.length));
  data.forEach((word, at) => view.setUint32(4 * at, word, true));
  return new Uint8Array(view.buffer);
}
