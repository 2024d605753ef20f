/** A verdict as JSON: the same members and texts as `secureflow audit verify -o json` prints. */

import type { Verdict } from './verify';

/** Return the JSON of a verdict, for programs and for the comparison with the Python verifier. */
export function plainVerdict(verdict: Verdict): Record<string, unknown> {
  const { bundle } = verdict;
  return {
    ok: verdict.status === 'verified',
    status: verdict.status,
    failures: verdict.failures.map((one) => one.told.english),
    missing: verdict.missing.map((one) => one.told.english),
    job: bundle?.job ?? '',
    spec: bundle?.specDigest ?? '',
    roster: bundle?.roster ?? [],
    outcome: verdict.outcome,
    accusations: verdict.accusations,
    authors: verdict.authors,
    held: verdict.held.map((one) => ({ ...one, reason: one.reason?.english ?? '' })),
    entries: bundle?.entries.length ?? 0,
    size: String(bundle?.note.checkpoint.size ?? 0n),
    cosigners: verdict.cosigners,
    quorum: verdict.quorum,
    gaps: verdict.gaps.map((one) => ({
      origin: one.origin,
      continued_as: one.continuedAs,
      size: one.size,
      start: one.start,
      lost: one.size - one.start,
      at: one.at,
      signed: one.signed,
      members: one.members,
      ended_key: one.endedKey,
      reason: one.reason,
    })),
    anchors: verdict.anchors.map((one) => ({ ...one, reason: one.reason?.english ?? '' })),
  };
}
