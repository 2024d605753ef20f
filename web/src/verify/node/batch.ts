/**
 * Answers many questions in one process, for the comparison with the Python verifier.
 *
 * A frame is one letter, a length in 4 bytes (big-endian) and so many bytes: `C` sets the pinned
 * charter, `H` the kept leaves, `R` a report, `S` the expected spec (all empty for none); `B` asks for the
 * verdict on a bundle, `J` for the canonical form of JSON, `X` for the BLAKE3, `W` for the words
 * of a charter, `P` for a consistency proof. Each answer is one line of JSON.
 */

import { blake3 } from '../blake3';
import { hex, unhex } from '../bytes';
import { canonicalText } from '../canonical';
import { fingerprintDigits, fingerprintWords } from '../fingerprint';
import { isObject, type Json, parseJson } from '../json';
import { verifyConsistency } from '../merkle';
import { plainVerdict } from '../plainverdict';
import { Signatures } from '../signatures';
import { Refusal } from '../told';
import { type Expected, parsePinned, type Pinned, verifyBundle } from '../verify';

const HEAD = 5;
const signatures = await Signatures.ready();
let pinned: Pinned | null = null;
let held: Json = null;
let report: Json = null;
let spec = '';

/** Answer one frame; null for those that only set something. */
async function answer(kind: string, data: Uint8Array): Promise<unknown> {
  switch (kind) {
    case 'C':
      pinned = data.length > 0 ? parsePinned(parseJson(data)) : null;
      return {};
    case 'H':
      held = data.length > 0 ? parseJson(data) : null;
      return {};
    case 'R':
      report = data.length > 0 ? parseJson(data) : null;
      return {};
    case 'S':
      spec = new TextDecoder().decode(data);
      return {};
    case 'B': {
      const expected: Expected = { pinned, held, report, spec };
      return plainVerdict(await verifyBundle(parseJson(data), expected, signatures));
    }
    case 'J':
      return { canonical: canonicalText(parseJson(data)) };
    case 'X':
      return { digest: hex(blake3(data)) };
    case 'W': {
      const { digest } = parsePinned(parseJson(data)).charter;
      return { en: fingerprintWords(digest), zh: fingerprintDigits(digest) };
    }
    case 'P':
      return { holds: consistent(parseJson(data)) };
    default:
      throw new Error(`no question ${kind}`);
  }
}

function consistent(value: Json): boolean {
  if (!isObject(value)) throw new Error('no object');
  const text = (name: string): string => String(value.get(name));
  const proof = value.get('proof');
  return verifyConsistency(
    BigInt(text('old')),
    BigInt(text('new')),
    unhex(text('old_root')),
    unhex(text('new_root')),
    Array.isArray(proof) ? proof.map((one) => unhex(String(one))) : [],
  );
}

async function safely(kind: string, data: Uint8Array): Promise<unknown> {
  try {
    return await answer(kind, data);
  } catch (error) {
    if (error instanceof Refusal) return { refused: error.code, message: error.message };
    throw error;
  }
}

let waiting = Buffer.alloc(0);
for await (const chunk of process.stdin) {
  waiting = Buffer.concat([waiting, chunk as Buffer]);
  while (waiting.length >= HEAD) {
    const end = HEAD + waiting.readUInt32BE(1);
    if (waiting.length < end) break;
    const frame = waiting.subarray(0, end);
    waiting = waiting.subarray(end);
    const found = await safely(String.fromCharCode(frame[0] ?? 0), frame.subarray(HEAD));
    process.stdout.write(`${JSON.stringify(found)}\n`);
  }
}
