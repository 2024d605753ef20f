/**
 * BLAKE3 in its plain mode, without key, of any length (WebCrypto has none).
 *
 * After the reference implementation in the BLAKE3 specification, section 5.1. Models are named in
 * the record by this digest.
 */

const OUT_BYTES = 32;
const BLOCK = 64;
const CHUNK = 1024;
const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;
/** The first words of the square roots of the first primes, as in SHA-256. */
const IV = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];
const PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
const ROUNDS = 7;

type Words = Uint32Array;

/** What remains of a node: compressed once more, as a chaining value or, at the root, the digest. */
interface Output {
  readonly chaining: Words;
  readonly block: Words;
  readonly counter: number;
  readonly length: number;
  readonly flags: number;
}

/** Takes bytes in portions, of which only the chaining values of whole subtrees are kept. */
export class Blake3 {
  private readonly stack: Words[] = [];
  private readonly held = new Uint8Array(CHUNK);
  private filled = 0;
  private chunks = 0;

  /** Add more bytes. */
  update(data: Uint8Array): this {
    let at = 0;
    while (at < data.length) {
      // A chunk is only closed once more follows: the last one may be the root.
      if (this.filled === CHUNK) this.close();
      const part = data.subarray(at, at + CHUNK - this.filled);
      this.held.set(part, this.filled);
      this.filled += part.length;
      at += part.length;
    }
    return this;
  }

  /** Return the 32-byte digest of all bytes so far. */
  digest(): Uint8Array {
    let output = chunkOutput(this.held.subarray(0, this.filled), this.chunks);
    for (const left of [...this.stack].reverse()) output = parentOutput(left, chainingOf(output));
    const words = compress({ ...output, counter: 0, flags: output.flags | ROOT });
    const digest = new DataView(new ArrayBuffer(OUT_BYTES));
    for (let at = 0; at < 8; at++) digest.setUint32(4 * at, words[at] as number, true);
    return new Uint8Array(digest.buffer);
  }

  private close(): void {
    let value = chainingOf(chunkOutput(this.held, this.chunks));
    this.chunks += 1;
    this.filled = 0;
    for (let total = this.chunks; total % 2 === 0; total /= 2) {
      const left = this.stack.pop();
      if (left !== undefined) value = chainingOf(parentOutput(left, value));
    }
    this.stack.push(value);
  }
}

/** Return the 32-byte BLAKE3 of some bytes. */
export function blake3(data: Uint8Array): Uint8Array {
  return new Blake3().update(data).digest();
}

function chunkOutput(chunk: Uint8Array, counter: number): Output {
  let chaining: Words = Uint32Array.from(IV);
  const blocks = Math.max(1, Math.ceil(chunk.length / BLOCK));
  for (let at = 0; ; at++) {
    const bytes = chunk.subarray(at * BLOCK, (at + 1) * BLOCK);
    const flags = (at === 0 ? CHUNK_START : 0) | (at === blocks - 1 ? CHUNK_END : 0);
    const output = { chaining, block: wordsOf(bytes), counter, length: bytes.length, flags };
    if (at === blocks - 1) return output;
    chaining = chainingOf(output);
  }
}

function parentOutput(left: Words, right: Words): Output {
  const block = new Uint32Array(16);
  block.set(left);
  block.set(right, 8);
  return { chaining: Uint32Array.from(IV), block, counter: 0, length: BLOCK, flags: PARENT };
}

function chainingOf(output: Output): Words {
  return compress(output).slice(0, 8);
}

function wordsOf(bytes: Uint8Array): Words {
  const padded = new Uint8Array(BLOCK);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  return Uint32Array.from({ length: 16 }, (_, at) => view.getUint32(4 * at, true));
}

function compress({ chaining, block, counter, length, flags }: Output): Words {
  const v = new Uint32Array(16);
  v.set(chaining);
  v.set(IV.slice(0, 4), 8);
  v.set([counter >>> 0, Math.floor(counter / 2 ** 32), length, flags], 12);
  let m = block;
  for (let round = 0; round < ROUNDS; round++) {
    for (let column = 0; column < 4; column++) {
      mix(v, column, column + 4, column + 8, column + 12, m, 2 * column);
    }
    for (let at = 0; at < 4; at++) {
      mix(v, at, 4 + ((at + 1) % 4), 8 + ((at + 2) % 4), 12 + ((at + 3) % 4), m, 8 + 2 * at);
    }
    const before = m;
    m = Uint32Array.from(PERMUTATION, (from) => before[from] as number);
  }
  for (let at = 0; at < 8; at++) v[at] = (v[at] as number) ^ (v[at + 8] as number);
  return v;
}

function mix(
  v: Words, a: number, b: number, c: number, d: number, m: Words, word: number,
): void {
  const turned = (at: number, by: number, with_: number): void => {
    const value = (v[at] as number) ^ (v[with_] as number);
    v[at] = (value >>> by) | (value << (32 - by));
  };
  const added = (more: number): void => {
    v[a] = (v[a] as number) + (v[b] as number) + more;
  };
  added(m[word] as number);
  turned(d, 16, a);
  v[c] = (v[c] as number) + (v[d] as number);
  turned(b, 12, c);
  added(m[word + 1] as number);
  turned(d, 8, a);
  v[c] = (v[c] as number) + (v[d] as number);
  turned(b, 7, c);
}
