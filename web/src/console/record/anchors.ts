/**
 * What members say they anchored at places that others keep, put together for people.
 *
 * Each statement is signed by its member and carried by the centre. Nothing is proved here: who
 * relies on one checks it with `secureflow audit verify`, or at an agent (docs/anchors.md).
 */
import type { Schemas } from '../../api/client';
import { concat, hex, utf8 } from '../../verify/bytes';
import { sha256 } from '../../verify/sha256';
import { members, text } from '../models/card';

export type Statement = Schemas['AnchorStatement'];

/** The kinds of deeds that agents anchor (`engines.anchors.entries`). */
export const KINDS = [
  'anchor',
  'registerJob',
  'approveJob',
  'commitDataset',
  'commitRound',
  'spend',
  'setContributions',
  'dispute',
  'withdraw',
  'split',
  'settle',
  'confirm',
  'admit',
  'remove',
  'upgrade',
] as const;
/** Seconds after which what is not anchored yet is called late, as agents do. */
export const LATE = 3600;
const DOMAIN = 'secureflow anchor log v1\0';

/** One statement, as far as it can be read. */
export type Said = {
  organisation: string;
  place: string;
  kind: string;
  at: number;
  result: string;
  transaction: string;
  block: number;
  /** Tells the deeds of one transaction apart. */
  digest: string;
  /** Of a head: what stands for the log's name, its entries and the root over them; else empty. */
  log: string;
  size: number;
  root: string;
};

/** A head as the centre shows it now. */
export type Head = { origin: string; size: number; root: string };

/** The newest head that a member says a place keeps of a log. */
export type Newest = Said & { behind: number | null; late: boolean };

export type Place = {
  place: string;
  make: string;
  organisations: string[];
  size: number;
  at: number;
};

/** Something that does not fit together; `other` and `otherPlace` are empty where there is one. */
export type Alarm = {
  kind: 'apart' | 'contradiction' | 'ahead' | 'differs';
  size: number;
  who: string;
  place: string;
  other: string;
  otherPlace: string;
  deed: string;
};

function whole(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

/** Reads what the centre carries. */
export function saidOf(one: Statement): Said {
  const body = members(members(one.statement)['body']);
  const entry = members(body['entry']);
  const head = one.kind === 'anchor';
  return {
    organisation: one.organisation,
    place: one.place,
    kind: one.kind,
    at: one.at,
    result: text(body['result']),
    transaction: text(body['transaction']),
    block: whole(body['block']),
    digest: JSON.stringify(entry),
    log: head ? text(entry['log']) : '',
    size: head ? whole(entry['size']) : 0,
    root: head ? text(entry['root']) : '',
  };
}

/** What kind of place it is, by its name. */
export function makeOf(place: string): string {
  return place.split(':', 1)[0] ?? '';
}

/** What stands for a log's name at a place (`engines.anchors.entries.log_digest`). */
export function logDigest(origin: string): string {
  return hex(sha256(concat(utf8(DOMAIN), utf8(origin))));
}

/** The newest head of each member, log and place; how far it is behind this centre's log. */
export function newestHeads(said: readonly Said[], head: Head | null, now: number): Newest[] {
  const found = new Map<string, Said>();
  for (const one of said) {
    if (!one.log) continue;
    const key = JSON.stringify([one.log, one.organisation, one.place]);
    const known = found.get(key);
    if (!known || one.size > known.size) found.set(key, one);
  }
  const own = head ? logDigest(head.origin) : '';
  const rows = [...found.values()].map((one) => {
    const behind = head && one.log === own ? Math.max(0, head.size - one.size) : null;
    return { ...one, behind, late: behind !== null && behind > 0 && now - one.at > LATE };
  });
  const order = (one: Newest) => [one.log === own ? '0' : '1', one.log, one.organisation, one.place];
  return rows.sort((a, b) => (order(a).join('\n') < order(b).join('\n') ? -1 : 1));
}

/** The places that statements name, each with who anchors there. */
export function placesOf(said: readonly Said[]): Place[] {
  const found = new Map<string, Place>();
  for (const one of said) {
    const known = found.get(one.place) ?? {
      place: one.place,
      make: makeOf(one.place),
      organisations: [],
      size: 0,
      at: 0,
    };
    if (!known.organisations.includes(one.organisation)) known.organisations.push(one.organisation);
    known.organisations.sort();
    known.size = Math.max(known.size, one.size);
    known.at = Math.max(known.at, one.at);
    found.set(one.place, known);
  }
  return [...found.values()].sort((a, b) => (a.place < b.place ? -1 : 1));
}

/** What does not fit together: two histories of a log, or one that is shorter than was anchored. */
export function alarmsOf(said: readonly Said[], head: Head | null): Alarm[] {
  const alarms: Alarm[] = [];
  const first = new Map<string, Said>();
  const told = new Set<string>();
  const own = head ? logDigest(head.origin) : '';
  const add = (kind: Alarm['kind'], one: Said, other?: Said) => {
    const made = {
      kind,
      size: one.size,
      who: other ? other.organisation : one.organisation,
      place: other ? other.place : one.place,
      other: other ? one.organisation : '',
      otherPlace: other ? one.place : '',
      deed: one.kind,
    };
    const key = JSON.stringify(made);
    if (!told.has(key)) alarms.push(made);
    told.add(key);
  };
  for (const one of said) {
    if (one.result === 'fork') add('contradiction', one);
    if (!one.log) continue;
    const key = `${one.log} ${one.size}`;
    const known = first.get(key);
    if (!known) first.set(key, one);
    else if (known.root !== one.root) add('apart', one, known);
    if (!head || one.log !== own) continue;
    if (one.size > head.size) add('ahead', one);
    if (one.size === head.size && one.root !== head.root) add('differs', one);
  }
  return alarms;
}
