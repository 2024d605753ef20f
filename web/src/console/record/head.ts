/** The head of the ledger as the centre gives it: who cosigned it, and whether that holds. */
import { hex, utf8 } from '../../verify/bytes';
import { parseSignedCharter, type Charter } from '../../verify/charter';
import { isObject, parseJson } from '../../verify/json';
import { cosigners, parseNote, signedByLog } from '../../verify/notes';
import type { Signatures } from '../../verify/signatures';

export type HeadFacts = {
  origin: string;
  size: string;
  root: string;
  /** By the key that the charter names for the log; null without a charter. */
  signed: boolean | null;
  /** Members whose cosignature holds under their key of the charter. */
  cosigners: string[];
  members: number;
};

/** The charter in an answer of the centre; its claim, like all else on this page. */
export function charterIn(text: string): Charter {
  const shown = parseJson(utf8(text));
  if (!isObject(shown)) return parseSignedCharter(shown).charter;
  const kept = ['charter', 'signatures'].map((name) => [name, shown.get(name) ?? null] as const);
  return parseSignedCharter(new Map(kept)).charter;
}

/** Checks a note under the keys of a charter. */
export async function factsOfHead(
  note: string,
  charter: Charter | null,
  signatures: Signatures,
): Promise<HeadFacts> {
  const parsed = parseNote(note);
  const { origin, size, root } = parsed.checkpoint;
  const facts = { origin, size: String(size), root: hex(root) };
  if (charter === null) return { ...facts, signed: null, cosigners: [], members: 0 };
  const found = await cosigners(parsed, charter.keys, signatures);
  return {
    ...facts,
    signed: origin === charter.origin && (await signedByLog(parsed, charter.logKey, signatures)),
    cosigners: [...found].sort(),
    members: charter.keys.size,
  };
}
