/**
 * Offline audit: the record of one job, verified again from a bundle and a pinned charter.
 *
 * A port of `secureflow.engines.ledger.bundle.verify_bundle`, which says what each check is for.
 * A test holds both to the same verdict, word for word, on every single change of real bundles.
 */

import { type Anchored, anchorFailures, judgeAnchors } from './anchors';
import { type Accusation, accusationsOf, withoutDocument } from './accused';
import {
  authorFailures, endedKeyFailures, headFailures, rosterKeys, selfSignedFailures,
} from './authors';
import { type Bundle, parseBundle, parseHistory } from './bundle';
import { type Charter, parseSignedCharter, type SignedCharter } from './charter';
import { type AuthorEnd, judgeEnds, type Judgement } from './ends';
import { type Finding, finding } from './findings';
import { type Gap, type Lineage, lineageOf } from './gaps';
import { type HeldLeaf, judgeHeld, titleOf } from './held';
import { isObject, type Json } from './json';
import { cosigners } from './notes';
import { quorumOf } from './quorum';
import { Signatures } from './signatures';
import { judgeReport } from './reported';
import { judgeScores } from './scores';
import { SignedSteps } from './stepoutputs';
import { chainFailures, consentFailures, entryFailures, storyFailures } from './story';
import { Refusal, told } from './told';

export type Status = 'verified' | 'unfinished' | 'broken' | 'consistent, unauthenticated';

/** The charter that the reader pinned, and the versions before it that the reader kept. */
export interface Pinned {
  readonly charter: Charter;
  readonly known: readonly SignedCharter[];
}

/** What to hold a bundle to. */
export interface Expected {
  readonly pinned: Pinned | null;
  /** Leaves that a party kept (`secureflow agent leaves JOB -o json`), or null. */
  readonly held?: Json;
  /** A report of the job (`secureflow job report JOB -o json`), or null. */
  readonly report?: Json;
  /** Digest of the spec that the reader approved, or "". */
  readonly spec?: string;
}

/** The result of the audit; see `BundleVerdict` of the Python verifier. */
export interface Verdict {
  readonly status: Status;
  readonly failures: readonly Finding[];
  readonly missing: readonly Finding[];
  /** Null if the bundle could not be read. */
  readonly bundle: Bundle | null;
  /** The charter under which the bundle is judged; null without one. */
  readonly charter: Charter | null;
  readonly outcome: string;
  readonly accusations: readonly Accusation[];
  readonly authors: readonly AuthorEnd[];
  readonly held: readonly HeldLeaf[];
  /** Whether a report was compared with it. */
  readonly reported: boolean;
  readonly cosigners: readonly string[];
  readonly quorum: number;
  readonly gaps: readonly Gap[];
  readonly anchors: readonly Anchored[];
}

/** Read a pinned charter's file, with the earlier versions in its `history`, if any. */
export function parsePinned(value: Json): Pinned {
  if (!isObject(value)) return { charter: parseSignedCharter(value).charter, known: [] };
  const rest = new Map(value);
  const history = rest.get('history');
  rest.delete('history');
  const { charter } = parseSignedCharter(rest);
  return { charter, known: history === undefined ? [] : parseHistory(history) };
}

/**
 * Judge a foreign bundle. Total: for any bundle, the answer is a verdict.
 *
 * Throws a `Refusal` only for malformed `held` leaves, or where WebCrypto has no Ed25519.
 */
export async function verifyBundle(
  value: Json,
  expected: Expected,
  signatures?: Signatures,
): Promise<Verdict> {
  let bundle: Bundle;
  try {
    bundle = parseBundle(value);
  } catch (error) {
    if (error instanceof Refusal) return unreadable(error);
    throw error;
  }
  const checking = signatures ?? (await Signatures.ready());
  const pinned = expected.pinned?.charter ?? null;
  const [ends, steps] = [judgeEnds(bundle), new SignedSteps(bundle)];
  const reported = judgeReport(bundle, steps, expected.report ?? null);
  const lineage = await lineageOf(bundle, pinned, expected.pinned?.known ?? [], checking);
  const charter = pinned && (lineage.charter ?? pinned);
  const keys = charter === null ? new Map(bundle.contributors) : rosterKeys(bundle, charter);
  const held =
    expected.held === undefined || expected.held === null
      ? []
      : await judgeHeld(bundle, ends.authors, keys, expected.held, lineage.origins, checking);
  const scores = await judgeScores(bundle, keys, expected.report ?? null, checking);
  const anchors = await judgeAnchors(bundle, charter, pinned, checking);
  const failures = [
    ...storyOf(bundle, expected.spec ?? '', lineage, ends),
    ...steps.failures(),
    ...reported.failures,
    ...scores.failures,
    ...contradicted(held),
    ...(pinned === null ? [] : await endedKeyFailures(bundle, pinned, checking)),
    ...(await signedFailures(bundle, charter, checking)),
    ...anchorFailures(anchors),
  ];
  const missing = [
    ...ends.missing, ...steps.missing(), ...reported.missing, ...scores.missing,
    ...withoutDocument(bundle),
  ];
  const witnesses = charter === null ? [] : [...(await cosigners(bundle.note, keys, checking))];
  const quorum = quorumOf(bundle.roster.length);
  if (charter !== null && witnesses.length < quorum) {
    const few = 'the head has {count} valid cosignatures of the roster, not {quorum}';
    missing.push(finding('cosignatures', told(few, { count: witnesses.length, quorum })));
  }
  return {
    status: statusOf(failures, missing, charter),
    failures,
    missing,
    bundle,
    charter,
    outcome: ends.outcome,
    accusations: accusationsOf(bundle),
    authors: ends.authors,
    held,
    reported: (expected.report ?? null) !== null,
    cosigners: witnesses.sort(),
    quorum,
    gaps: lineage.gaps,
    anchors,
  };
}

function storyOf(bundle: Bundle, spec: string, lineage: Lineage, ends: Judgement): Finding[] {
  return [
    ...storyFailures(bundle, spec),
    ...lineage.failures,
    ...entryFailures(bundle, lineage.origins),
    ...chainFailures(bundle),
    ...consentFailures(bundle),
    ...ends.broken,
  ];
}

function contradicted(held: readonly HeldLeaf[]): Finding[] {
  return held
    .filter((one) => one.standing === 'contradicts')
    .map((one) => {
      const facts = { title: titleOf(one), reason: one.reason ?? '' };
      return finding('held', told('{title}: {reason}', facts));
    });
}

async function signedFailures(
  bundle: Bundle,
  charter: Charter | null,
  signatures: Signatures,
): Promise<Finding[]> {
  if (charter === null) return selfSignedFailures(bundle, signatures);
  return [
    ...(await authorFailures(bundle, charter, signatures)),
    ...(await headFailures(bundle, charter, signatures)),
  ];
}

function statusOf(
  failures: readonly Finding[],
  missing: readonly Finding[],
  charter: Charter | null,
): Status {
  if (failures.length > 0) return 'broken';
  if (missing.length > 0) return 'unfinished';
  return charter === null ? 'consistent, unauthenticated' : 'verified';
}

function unreadable(error: Refusal): Verdict {
  return {
    status: 'broken',
    failures: [finding('format', error.told)],
    missing: [],
    bundle: null,
    charter: null,
    outcome: '',
    accusations: [],
    authors: [],
    held: [],
    reported: false,
    cosigners: [],
    quorum: 0,
    gaps: [],
    anchors: [],
  };
}
