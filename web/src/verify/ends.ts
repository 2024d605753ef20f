/**
 * Whether the record of a job is complete: how each author's leaves end, and whether the counts fit
 * (`secureflow.engines.ledger.ends`).
 */

import type { Bundle, Entry } from './bundle';
import { cut } from './bytes';
import { ENCLAVE, type Finding, finding, SERVER } from './findings';
import { type End, FINISHED, readClosed, readFinished } from './endings';
import type { Json } from './json';
import { isObject } from './json';
import { shown } from './plain';
import { quorumOf } from './quorum';
import { str, truthy } from './spelled';
import { about } from './story';
import { type Fact, told } from './told';

export const CLOSED = 'job.closed';
export const OUTCOME = 'job.finished';

/** An author and, for an enclave, the key with which it signs. */
export interface Chain {
  readonly author: string;
  readonly key: string;
}

/** The state of one author's leaves in a bundle; see `AuthorEnd` of the Python verifier. */
export interface AuthorEnd extends Chain, End {
  readonly signed: boolean;
  readonly provable: boolean;
  readonly late: boolean;
}

/** Contradictions, missing parts, and each author's end. */
export interface Judgement {
  readonly broken: Finding[];
  readonly missing: Finding[];
  readonly authors: AuthorEnd[];
  outcome: string;
}

/** Chains by name: an object is no key of a map. */
type Chains<T> = Map<string, { chain: Chain; value: T }>;

/** Judge whether a bundle is complete: every end is present and its count matches. */
export function judgeEnds(bundle: Bundle): Judgement {
  const found: Judgement = { broken: [], missing: [], authors: [], outcome: '' };
  const own = bundle.entries.filter((entry) => entry.signed.leaf.job === bundle.job);
  const [close, ...again] = ofCentre(own, CLOSED);
  if (close === undefined) {
    judgeModels(found, own);
    const cutOff =
      "the centre's end (job.closed) is missing: the job is running, it ran before ends were recorded, or the end was cut off";
    found.missing.push(finding('ends', told(cutOff)));
    judgeAuthors(found, bundle, chainsOf(own), new Map());
    return found;
  }
  for (const one of again) broken(found, one, '{title}: the job is closed twice');
  const chains = chainsOf(own.filter((entry) => entry.index < close.index));
  const lines = linesOf(found, close);
  if (lines !== null) compare(found, bundle, close, chains, lines);
  const ended = judgeAuthors(found, bundle, chains, lateOnes(found, own, close));
  if (found.outcome === '' || found.outcome === 'succeeded') judgeModels(found, own);
  const need = quorumOf(bundle.roster.length);
  if (ended.size < need) {
    const away = bundle.roster.filter((party) => !ended.has(party)).join(', ');
    const few =
      "{count} parties of the roster signed their end, not {need}: for {away} there is only the centre's word";
    found.missing.push(finding('ends', told(few, { count: ended.size, need, away })));
  }
  return found;
}

function ofCentre(own: readonly Entry[], kind: string): Entry[] {
  return own.filter(({ signed: { leaf } }) => leaf.author === SERVER && leaf.kind === kind);
}

/** Compare the model that each party's end names with that of the centre's outcome. */
function judgeModels(found: Judgement, own: readonly Entry[]): void {
  const outcomes = ofCentre(own, OUTCOME);
  const models: Json[] = [];
  for (const { document } of outcomes) {
    if (isObject(document) && document.get('outcome') === 'succeeded') {
      models.push(document.get('model') ?? null);
    }
  }
  for (const entry of own) {
    const { author, kind } = entry.signed.leaf;
    if (kind !== FINISHED || author === SERVER || author === ENCLAVE) continue;
    const model = readFinished(entry.document)?.model ?? '';
    if (model === '') continue;
    if (models.length === 0 || outcomes.some((one) => !one.opened)) {
      const alone =
        "{title}: it names a model, and the centre's outcome (job.finished) that it is compared with is missing, or comes without its document";
      missing(found, entry, alone);
    }
    for (const other of models) {
      if (other === model) continue;
      const named = truthy(other) ? shown(cut(str(other), 64)) : 'none';
      const differ =
        "{title}: {name} ended the job with the model {model}, the centre's outcome names {other}";
      broken(found, entry, differ, { name: author, model, other: named });
    }
  }
}

function linesOf(found: Judgement, close: Entry): Chains<End> | null {
  if (!close.opened) {
    missing(found, close, '{title}: the end comes without its document');
    return null;
  }
  const read = readClosed(close.document);
  if (read === null) {
    broken(found, close, '{title}: its document is not the end of a job');
    return null;
  }
  found.outcome = read.outcome;
  const lines: Chains<End> = new Map();
  for (const { author, key, end } of read.ends) {
    const chain = { author, key };
    lines.set(nameOf(chain), { chain, value: end });
  }
  if (lines.size !== read.ends.length) {
    broken(found, close, '{title}: it counts an author twice');
  }
  return lines;
}

/** Compare the leaves in the bundle with the centre's end. */
function compare(
  found: Judgement,
  bundle: Bundle,
  close: Entry,
  chains: Chains<Entry[]>,
  lines: Chains<End>,
): void {
  const wanted = [SERVER, ...bundle.roster].map((author) => ({ author, key: '' }));
  for (const chain of union(wanted, [...chains.values()].map((one) => one.chain))) {
    if (lines.has(nameOf(chain))) continue;
    broken(found, close, '{title}: it has no line for {name}', { name: title(chain) });
  }
  for (const [name, { chain, value: end }] of lines) {
    compareLine(found, chain, end, endOf(chains.get(name)?.value ?? []));
  }
  const centre = lines.get(nameOf({ author: SERVER, key: '' }));
  if (centre !== undefined && close.signed.leaf.prev !== centre.value.last) {
    broken(found, close, '{title}: it does not follow the leaf that it counts last');
  }
}

function compareLine(found: Judgement, chain: Chain, end: End, have: End): void {
  const facts = { name: title(chain), count: have.count, end_count: end.count };
  if (have.count < end.count) {
    const gone =
      "{name}: {count} leaves are there, the centre's end counts {end_count}: leaves were cut off";
    found.broken.push(finding('ends', told(gone, facts)));
  } else if (have.count !== end.count || have.last !== end.last) {
    const other =
      "{name}: {count} leaves up to {last} are there, the centre's end counts {end_count} up to {end_last}";
    const ends = { last: have.last || 'none', end_last: end.last || 'none' };
    found.broken.push(finding('ends', told(other, { ...facts, ...ends })));
  }
}

/** Return each party's leaves after the close; those of other authors are contradictions. */
function lateOnes(found: Judgement, own: readonly Entry[], close: Entry): Chains<Entry[]> {
  const late: Entry[] = [];
  for (const entry of own) {
    if (entry.index <= close.index) continue;
    const { author } = entry.signed.leaf;
    if (author === SERVER || author === ENCLAVE) {
      broken(found, entry, "{title}: it comes after the job's end");
    } else {
      late.push(entry);
    }
  }
  return chainsOf(late);
}

/** Add each author's end; return which parties signed one that fits the outcome. */
function judgeAuthors(
  found: Judgement,
  bundle: Bundle,
  chains: Chains<Entry[]>,
  late: Chains<Entry[]>,
): Set<string> {
  const ended = new Set<string>();
  const parties = bundle.roster.map((author) => ({ author, key: '' }));
  const others = [...chains.values(), ...late.values()].map((one) => one.chain);
  for (const chain of union(parties, others)) {
    const entries = chains.get(nameOf(chain))?.value ?? [];
    const after = late.get(nameOf(chain))?.value ?? [];
    const party = chain.author !== SERVER && chain.author !== ENCLAVE;
    let outcome = party ? ownEnd(found, chain, entries) : null;
    const [first] = after;
    if (outcome !== null && first !== undefined) {
      broken(found, first, '{title}: its author had signed its own end before');
    }
    let cameLate = false;
    if (outcome === null && first !== undefined && party) {
      outcome = ownEnd(found, chain, [...entries, ...after]);
      cameLate = outcome !== null;
    }
    const end = endOf(cameLate ? [...entries, ...after] : entries);
    const signed = party ? outcome !== null : found.outcome !== '';
    const fits = outcome === (found.outcome || null) || outcome === 'succeeded';
    if (party && fits) ended.add(chain.author);
    found.authors.push({ ...chain, ...end, signed, provable: signed, late: cameLate });
  }
  return ended;
}

/** Return the outcome in a party's own end, null if it has no valid one. */
function ownEnd(found: Judgement, chain: Chain, entries: readonly Entry[]): string | null {
  const before = entries.slice(0, -1);
  const early = before.find((entry) => entry.signed.leaf.kind === FINISHED);
  if (early !== undefined) {
    broken(found, early, '{title}: its author signed more after its own end');
    return null;
  }
  const last = entries.at(-1);
  if (last === undefined || last.signed.leaf.kind !== FINISHED) return null;
  if (!last.opened) {
    missing(found, last, '{title}: the end comes without its document');
    return null;
  }
  const read = readFinished(last.document);
  if (read === null) {
    broken(found, last, '{title}: its document is not an end');
    return null;
  }
  const have = endOf(before);
  const fits = read.count === have.count && read.last === have.last;
  if (!fits || (read.count > 0 && last.signed.leaf.prev !== read.last)) {
    const facts = { name: title(chain), count: read.count, last: read.last || 'none' };
    const counts =
      '{title}: {name} counts {count} leaves of its own up to {last}, {found} are there';
    broken(found, last, counts, { ...facts, found: entries.length - 1 });
    return null;
  }
  return read.outcome;
}

function chainsOf(entries: readonly Entry[]): Chains<Entry[]> {
  const chains: Chains<Entry[]> = new Map();
  for (const entry of entries) {
    const { leaf, key } = entry.signed;
    const chain = { author: leaf.author, key: leaf.author === ENCLAVE ? key : '' };
    const known = chains.get(nameOf(chain)) ?? { chain, value: [] };
    known.value.push(entry);
    chains.set(nameOf(chain), known);
  }
  return chains;
}

function union(first: readonly Chain[], more: readonly Chain[]): Chain[] {
  return [...new Map([...first, ...more].map((one) => [nameOf(one), one])).values()];
}

function nameOf(chain: Chain): string {
  return JSON.stringify([chain.author, chain.key]);
}

function title(chain: Chain): string {
  return chain.key ? `${chain.author} (${chain.key})` : chain.author;
}

function endOf(entries: readonly Entry[]): End {
  return { count: entries.length, last: entries.at(-1)?.signed.hash ?? '' };
}

function broken(found: Judgement, entry: Entry, template: string, facts: Facts = {}): void {
  found.broken.push(about('ends', entry, template, facts));
}

function missing(found: Judgement, entry: Entry, template: string): void {
  found.missing.push(about('ends', entry, template));
}

type Facts = Readonly<Record<string, Fact>>;
