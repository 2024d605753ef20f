/**
 * From the pinned charter to that of the bundle, and every gap of the log that the members signed
 * for (`secureflow.engines.ledger.gaps`).
 */

import type { Bundle, Entry } from './bundle';
import { hex } from './bytes';
import { canonicalText } from './canonical';
import { type Charter, isChangeQuorum, type SignedCharter, signersOf, whyNotNext } from './charter';
import type { Continuation } from './continuation';
import { type Finding, finding, SERVER } from './findings';
import { isObject } from './json';
import { type Note, parseNote, signedByLog } from './notes';
import type { Signatures } from './signatures';
import { Refusal, told, type Told } from './told';

const CONTINUED = 'log.continued';

/** A rollback, or change of the log's key (`endedKey` is not empty), and who signed for it. */
export interface Gap {
  readonly origin: string;
  readonly continuedAs: string;
  readonly size: number;
  readonly start: number;
  readonly at: number;
  readonly signed: readonly string[];
  readonly members: number;
  readonly endedKey: string;
  readonly reason: string;
}

/** The charter under which a bundle was made, as far as it follows from the pinned one. */
export interface Lineage {
  readonly charter: Charter | null;
  readonly origins: ReadonlySet<string>;
  readonly gaps: readonly Gap[];
  readonly failures: readonly Finding[];
}

type Versions = ReadonlyMap<string, SignedCharter>;

/** Find the bundle's charter from the pinned one, forwards or backwards, and its gaps. */
export async function lineageOf(
  bundle: Bundle,
  pinned: Charter | null,
  known: readonly SignedCharter[],
  signatures: Signatures,
): Promise<Lineage> {
  const versions = new Map([...known, ...bundle.history].map((one) => [one.charter.digest, one]));
  const made = versions.get(bundle.charter)?.charter ?? null;
  let charter = made;
  const reasons: Told[] = [];
  if (pinned !== null && bundle.charter !== pinned.digest) {
    const back = made !== null && pathFrom(pinned, versions, bundle.charter) !== null;
    const path = made !== null && !back ? pathFrom(made, versions, pinned.digest) : null;
    if (path !== null) {
      reasons.push(...(await forward(pinned, path, signatures)));
    } else if (!back) {
      charter = pinned;
      reasons.push(told('the bundle was made under another charter than the one given'));
    }
  } else if (pinned !== null) {
    charter = pinned;
  }
  const gaps: Gap[] = [];
  for (const [gap, wrong] of await gapsOf(bundle, charter, versions, signatures)) {
    gaps.push(gap);
    reasons.push(...wrong);
  }
  // What happened to the log after this bundle was made is always told as well.
  const later = (await gapsOf(bundle, pinned, versions, signatures)).slice(gaps.length);
  gaps.push(...later.map(([gap]) => gap));
  const earlier = charter?.continuations.map((one) => one.origin) ?? [];
  return {
    charter,
    origins: new Set([bundle.origin, ...earlier]),
    gaps,
    failures: reasons.map((one) => finding('charter', one)),
  };
}

async function gapsOf(
  bundle: Bundle,
  charter: Charter | null,
  versions: Versions,
  signatures: Signatures,
): Promise<(readonly [Gap, Told[]])[]> {
  if (charter === null) return [];
  const newest = versions.get(charter.digest) ?? { charter, signatures: new Map() };
  const path = [...earlier(charter, versions).reverse(), newest];
  const names = [...charter.continuations.slice(1).map((one) => one.origin), charter.origin];
  return Promise.all(
    charter.continuations.map((_, at) =>
      judgeGap(bundle, charter, at, names[at] as string, path, signatures),
    ),
  );
}

/** Judge a continuation; `path` are versions that follow each other by their hashes. */
async function judgeGap(
  bundle: Bundle,
  charter: Charter,
  at: number,
  name: string,
  path: readonly SignedCharter[],
  signatures: Signatures,
): Promise<readonly [Gap, Told[]]> {
  const one = charter.continuations[at] as Continuation;
  const entry = beginning(bundle, one, name);
  const { origin } = one;
  const wrong: Told[] = [];
  if (entry === null) {
    wrong.push(told('the entry with which {name} begins is not in the bundle', { name }));
  }
  const opening = path.findIndex(
    (after, step) =>
      after.charter.continuations.length === at + 1 &&
      path[step - 1]?.charter.continuations.length === at,
  );
  const [before, after] = [path[opening - 1], path[opening]];
  let signed: string[] = [];
  if (before === undefined || after === undefined) {
    wrong.push(told('the continuation of {origin} is not in the bundle', { origin }));
  } else {
    signed = await signersOf(after, before.charter.keys, signatures);
    const members = before.charter.members.length;
    if (!isChangeQuorum(signed.length, members)) {
      const few = 'the continuation of {origin} is signed by {count} of {members} members';
      wrong.push(told(few, { origin, count: signed.length, members }));
    }
    if (entry !== null && !says(entry, after.charter, one)) {
      wrong.push(told('the entry with which {name} begins names another continuation', { name }));
    }
  }
  if (!(await oldHeadSigned(one, charter.logKeys.get(origin) ?? '', signatures))) {
    wrong.push(told('the old head of {origin} is not signed by the log', { origin }));
  }
  const gap = {
    origin,
    continuedAs: name,
    size: one.size,
    start: one.start,
    at: entry?.signed.leaf.at ?? 0,
    signed,
    members: before?.charter.members.length ?? 0,
    endedKey: one.logKey,
    reason: one.reason,
  };
  return [gap, wrong];
}

function beginning(bundle: Bundle, one: Continuation, name: string): Entry | null {
  for (const entry of bundle.entries) {
    const { leaf } = entry.signed;
    if (entry.index === one.start && leaf.kind === CONTINUED && leaf.author === SERVER) {
      return leaf.origin === name && entry.opened ? entry : null;
    }
  }
  return null;
}

function says(entry: Entry, charter: Charter, one: Continuation): boolean {
  const { document } = entry;
  if (!isObject(document) || document.get('charter') !== charter.digest) return false;
  return canonicalText(document.get('continuation') ?? null) === canonicalText(one.json);
}

async function oldHeadSigned(
  one: Continuation,
  logKey: string,
  signatures: Signatures,
): Promise<boolean> {
  let note: Note;
  try {
    note = parseNote(one.note);
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
  const head = note.checkpoint;
  const same =
    head.origin === one.origin && head.size === BigInt(one.size) && hex(head.root) === one.root;
  return same && (await signedByLog(note, logKey, signatures));
}

/** Return the change of the key that a head contradicts: signed by the old key, after its end. */
export async function beyondItsKey(
  charter: Charter,
  note: Note,
  signatures: Signatures,
): Promise<Continuation | null> {
  const head = note.checkpoint;
  for (const one of charter.continuations) {
    if (one.logKey === '' || one.origin !== head.origin) continue;
    const size = BigInt(one.size);
    const later = head.size > size || (head.size === size && hex(head.root) !== one.root);
    return later && (await signedByLog(note, one.logKey, signatures)) ? one : null;
  }
  return null;
}

/** Tell whether a leaf of the centre lies after the end of the key of its name. */
export function leafBeyondItsKey(charter: Charter, entry: Entry): boolean {
  const { leaf } = entry.signed;
  if (leaf.author !== SERVER) return false;
  return charter.continuations.some(
    (one) => one.logKey !== '' && leaf.origin === one.origin && entry.index >= one.size,
  );
}

/** Return the earlier versions, following the hashes, newest first. */
function earlier(charter: Charter, versions: Versions): SignedCharter[] {
  const path: SignedCharter[] = [];
  let step = versions.get(charter.previous);
  while (step !== undefined) {
    path.push(step);
    step = versions.get(step.charter.previous);
  }
  return path;
}

/** Return the versions from after a digest up to a newer charter; null if no hash leads there. */
function pathFrom(newer: Charter, versions: Versions, digest: string): SignedCharter[] | null {
  const path = [versions.get(newer.digest) ?? { charter: newer, signatures: new Map() }];
  for (const step of earlier(newer, versions)) {
    if (path[0]?.charter.previous === digest) return path;
    path.unshift(step);
  }
  return path[0]?.charter.previous === digest ? path : null;
}

/** Return why the versions after the pinned one do not follow from it; empty if they do. */
async function forward(
  pinned: Charter,
  path: readonly SignedCharter[],
  signatures: Signatures,
): Promise<Told[]> {
  let known = pinned;
  for (const signed of path) {
    const message = await whyNotNext(known, signed, signatures);
    if (message !== null) {
      const { version } = signed.charter;
      const wrong = 'charter version {version} does not follow from yours: {message}';
      return [told(wrong, { version, message })];
    }
    known = signed.charter;
  }
  return [];
}
