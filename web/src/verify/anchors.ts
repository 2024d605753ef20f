/**
 * What members say they anchored, in a bundle: a port of `secureflow.engines.anchors.bundled`,
 * which says what each check is for.
 */

import { type AnchoredHead, headOf, standsFor } from './anchorentries';
import {
  keeperOf, malformed, parseStatement, type Statement, whyReceiptFalse,
} from './anchorstatements';
import { type Bundle, MAX_PROOF } from './bundle';
import { hasLoneSurrogate, hex, same, unhex, utf8 } from './bytes';
import type { Charter } from './charter';
import { type Finding, finding } from './findings';
import { isObject, type Json } from './json';
import { verifyConsistency } from './merkle';
import { checkpointText } from './notes';
import type { Signatures } from './signatures';
import { Refusal, told, type Told } from './told';

const HASH = /^[0-9a-f]{64}$/;
export type AnchorStanding = 'receipt holds' | 'not checked' | 'foreign' | 'false';

/** One statement; see `secureflow.engines.ledger.anchored`. */
export interface Anchored {
  readonly number: number;
  readonly member: string;
  readonly place: string;
  readonly kind: string;
  readonly size: number;
  readonly transaction: string;
  readonly block: number;
  readonly at: number;
  readonly result: string;
  readonly standing: AnchorStanding;
  readonly covers: 'whole' | 'part' | '';
  readonly reason: Told | null;
}

/** What statements are held against. */
interface Record {
  readonly bundle: Bundle;
  readonly keys: ReadonlyMap<string, string>;
  /** Null where the charter does not know the log; empty without a charter. */
  readonly logKey: string | null;
  readonly job: string | null;
  readonly ended: { readonly size: number; readonly root: string } | null;
  readonly signatures: Signatures;
}

type Proof = readonly Uint8Array[] | null;

/** Judge every statement of a bundle; total. */
export async function judgeAnchors(
  bundle: Bundle,
  charter: Charter | null,
  pinned: Charter | null,
  signatures: Signatures,
): Promise<Anchored[]> {
  const record = recordOf(bundle, charter, pinned, signatures);
  const found: Anchored[] = [];
  const first = new Map<number, { root: Uint8Array; member: string }>();
  for (const [at, value] of bundle.anchors.entries()) {
    const one = await judged(record, at + 1, value);
    if (one instanceof Refusal) {
      found.push(lie(unread(at + 1), one.told));
      continue;
    }
    found.push(beside(first, one.anchored, one.head));
  }
  return found;
}

/** Return what is wrong with statements. */
export function anchorFailures(anchors: readonly Anchored[]): Finding[] {
  return anchors
    .filter((one) => one.standing === 'false')
    .map((one) => {
      const facts = { title: titleOf(one), reason: one.reason ?? '' };
      return finding('anchors', told('{title}: {reason}', facts));
    });
}

/** Return the name of a statement in failures. */
function titleOf({ number, kind, member }: Anchored): string {
  return kind === '' ? `anchor ${number}` : `anchor ${number} (${kind} by ${member})`;
}

function recordOf(
  bundle: Bundle,
  charter: Charter | null,
  pinned: Charter | null,
  signatures: Signatures,
): Record {
  const { origin } = bundle.note.checkpoint;
  const ended = pinned?.continuations.find((one) => one.logKey !== '' && one.origin === origin);
  return {
    bundle,
    keys: charter?.keys ?? new Map(bundle.contributors),
    logKey: charter === null ? '' : (charter.logKeys.get(origin) ?? null),
    job: hasLoneSurrogate(bundle.job) ? null : standsFor('job', bundle.job),
    ended: ended ?? null,
    signatures,
  };
}

/** Mark a head as false whose size was anchored with another root before. */
function beside(
  first: Map<number, { root: Uint8Array; member: string }>,
  one: Anchored,
  head: AnchoredHead | null,
): Anchored {
  if (head === null || one.standing === 'foreign' || one.standing === 'false') return one;
  const known = first.get(head.size);
  if (known === undefined) {
    first.set(head.size, { root: head.root, member: one.member });
    return one;
  }
  if (same(known.root, head.root)) return one;
  const words = '{member} anchored another head of {size} entries: the log has two histories';
  return lie(one, told(words, { member: known.member, size: head.size }));
}

async function judged(
  record: Record,
  number: number,
  value: Json,
): Promise<{ anchored: Anchored; head: AnchoredHead | null } | Refusal> {
  try {
    const [said, proof] = await parseAnchored(value, record.signatures);
    const head = headOf(said.entry);
    return { anchored: await judge(record, number, said, head, proof), head };
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

async function parseAnchored(value: Json, signatures: Signatures): Promise<[Statement, Proof]> {
  const names = isObject(value) ? [...value.keys()].filter((name) => name !== 'proof') : [];
  if (!isObject(value) || names.length !== 1 || names[0] !== 'statement') {
    throw malformed(told('it needs a statement, and may have a proof'));
  }
  const statement = await parseStatement(value.get('statement') ?? null, signatures);
  const listed = value.get('proof');
  if (listed === undefined) return [statement, null];
  const few = Array.isArray(listed) && listed.length <= MAX_PROOF ? listed : [null];
  const proof: Uint8Array[] = [];
  for (const one of few) {
    if (typeof one !== 'string' || !HASH.test(one)) {
      const words = 'its proof is no list of at most {max_proof} hashes';
      throw malformed(told(words, { max_proof: MAX_PROOF }));
    }
    proof.push(unhex(one));
  }
  if (statement.entry.kind !== 'anchor') throw malformed(told('only a head has a proof'));
  return [statement, proof];
}

async function judge(
  record: Record,
  number: number,
  said: Statement,
  head: AnchoredHead | null,
  proof: Proof,
): Promise<Anchored> {
  const { bundle, keys, signatures } = record;
  const member = [...keys].find(([, key]) => key === said.key)?.[0] ?? '';
  const { place, transaction, block, at, result } = said;
  const one: Anchored = {
    ...unread(number), member, place, kind: said.entry.kind, size: head?.size ?? 0, transaction, block,
    at, result,
  };
  if (member === '') return foreign(one, 'nobody in the charter signed it');
  const { origin } = bundle.note.checkpoint;
  if (head !== null && (head.log !== standsFor('log', origin) || record.logKey === null)) {
    return foreign(one, 'it is a head of another log');
  }
  const reason =
    head === null ? whyNotThisJob(record, said, member) : await whyNoHead(record, head, proof);
  if (reason !== null) return lie(one, reason);
  const keeper = keeperOf(said);
  if (keeper === null) return covering(one, record, head, proof);
  if (![...keys.values()].includes(keeper)) return foreign(one, 'its keeper is not in the charter');
  const why = await whyReceiptFalse(said, keeper, signatures);
  if (why !== null) return lie(one, told('its receipt is false: {reason}', { reason: why }));
  return covering({ ...one, standing: 'receipt holds' }, record, head, proof);
}

function whyNotThisJob(record: Record, said: Statement, member: string): Told | null {
  const { kind, fields } = said.entry;
  if (record.job === null || fields.get('job') !== record.job) return told('it is not about this job');
  const spec = fields.get('spec');
  const names = kind === 'registerJob' || kind === 'approveJob';
  if (!names || spec === record.bundle.specDigest) return null;
  const other = "{member} anchored the spec {spec} for this job, not the bundle's";
  return told(other, { member, spec: String(spec) });
}

async function whyNoHead(record: Record, head: AnchoredHead, proof: Proof): Promise<Told | null> {
  const own = record.bundle.note.checkpoint;
  const size = BigInt(head.size);
  const message = utf8(checkpointText({ origin: own.origin, size, root: head.root }));
  const { logKey, ended, signatures } = record;
  if (logKey && !(await signatures.holds(logKey, message, head.signature))) {
    return told('the log never signed that head');
  }
  const after = ended !== null && head.size > ended.size;
  if (after || (ended !== null && head.size === ended.size && hex(head.root) !== ended.root)) {
    return told("the log's key had ended before that head");
  }
  if (size === own.size && !same(head.root, own.root)) {
    const words =
      "it is another head of {size} entries than the bundle's: the log has two histories";
    return told(words, { size: head.size });
  }
  if (proof !== null && !consistent(record, head, proof)) {
    return told('its proof does not lead from one head to the other');
  }
  return null;
}

function consistent(record: Record, head: AnchoredHead, proof: readonly Uint8Array[]): boolean {
  const own = record.bundle.note.checkpoint;
  const size = BigInt(head.size);
  return size < own.size
    ? verifyConsistency(size, own.size, head.root, own.root, proof)
    : verifyConsistency(own.size, size, own.root, head.root, proof);
}

function covering(one: Anchored, record: Record, head: AnchoredHead | null, proof: Proof): Anchored {
  if (head === null) return one;
  const [size, own] = [BigInt(head.size), record.bundle.note.checkpoint.size];
  if (size !== own && proof === null) {
    const words = "without a proof that it is of one history with the bundle's head";
    return { ...one, reason: told(words) };
  }
  return { ...one, covers: size >= own ? 'whole' : 'part' };
}

function unread(number: number): Anchored {
  return {
    number, member: '', place: '', kind: '', size: 0, transaction: '', block: 0, at: 0, result: '',
    standing: 'not checked', covers: '', reason: null,
  };
}

function foreign(one: Anchored, reason: string): Anchored {
  return { ...one, standing: 'foreign', reason: told(reason) };
}

function lie(one: Anchored, reason: Told): Anchored {
  return { ...one, standing: 'false', covers: '', reason };
}
