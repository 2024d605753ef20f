/** What the Verify page holds together: files that the reader chose, and the verdict on them. */
import { resemblesBundle } from '../../verify/bundle';
import { fingerprintDigits, fingerprintWords } from '../../verify/fingerprint';
import { isObject, type Json, MAX_FILE_BYTES, parseJson } from '../../verify/json';
import type { Language } from '../../shared/preferences';
import { parsePinned, type Verdict, verifyBundle } from '../../verify/verify';

export const INPUTS = ['bundle', 'charter', 'held', 'report'] as const;
export type InputFile = (typeof INPUTS)[number];
export type Chosen = { readonly [name in InputFile]?: Blob };
export type Fingerprint = { words: string; digits: string };
export type Told = { verdict: Verdict | null; fingerprint: Fingerprint | null };

/** A file is of none of the kinds that are read here. */
export class Unreadable extends Error {
  constructor(readonly key: 'bundle' | 'spec') {
    super(key);
  }
}

const SPEC = /^[0-9a-f]{64}$/;

/** Reads a chosen file as strict JSON; no more of it than is allowed. */
export async function readJson(file: Blob): Promise<Json> {
  const most = file.slice(0, MAX_FILE_BYTES + 1);
  return parseJson(new Uint8Array(await most.arrayBuffer()));
}

/** What a dropped file looks like; null for none of these. */
export async function kindOf(file: Blob): Promise<InputFile | null> {
  try {
    const value = await readJson(file);
    if (resemblesBundle(value)) return 'bundle';
    if (isObject(value) && value.has('charter')) return 'charter';
    if (isObject(value) && value.has('spec_digest')) return 'report';
    return Array.isArray(value) ? 'held' : null;
  } catch {
    return null; // no JSON: it is said that it is none of these
  }
}

/**
 * Verifies what is chosen; without a bundle there is no verdict yet.
 *
 * Throws a `Refusal` for a charter or held leaves that cannot be read, `Unreadable` for a file that
 * is no bundle, and for a digest that is none.
 */
export async function verified(chosen: Chosen, spec: string): Promise<Told> {
  const pinned = chosen.charter ? parsePinned(await readJson(chosen.charter)) : null;
  const digest = pinned?.charter.digest;
  const fingerprint = digest
    ? { words: fingerprintWords(digest), digits: fingerprintDigits(digest) }
    : null;
  if (spec && !SPEC.test(spec)) throw new Unreadable('spec');
  if (!chosen.bundle) return { verdict: null, fingerprint };
  const value = await readJson(chosen.bundle);
  if (!resemblesBundle(value)) throw new Unreadable('bundle');
  const held = chosen.held ? await readJson(chosen.held) : null;
  const report = chosen.report ? await readJson(chosen.report) : null;
  return { verdict: await verifyBundle(value, { pinned, held, report, spec }), fingerprint };
}

/** The fingerprint as people of a language compare it. */
export function compared(fingerprint: Fingerprint, language: Language): string {
  return language === 'zh' ? fingerprint.digits : fingerprint.words;
}
