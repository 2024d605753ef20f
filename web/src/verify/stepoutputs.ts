/**
 * What parties signed of the steps of a pipeline: of each step they signed the same, all of them
 * (`secureflow.engines.ledger.stepoutputs`).
 */

import type { Bundle, Entry } from './bundle';
import { digest } from './canonical';
import type { Finding } from './findings';
import { isObject, type Json } from './json';
import { about } from './story';

const STEP = 'step';

/** Return where a party of the roster signed other outputs of a step than one before it. */
export function differingOutputs(bundle: Bundle): Finding[] {
  const found: Finding[] = [];
  const first = new Map<number, Entry>();
  const differ = '{title}: {name} signed other outputs of part {number} than {other}';
  for (const entry of bundle.entries) {
    const { job, author, kind } = entry.signed.leaf;
    if (job !== bundle.job || kind !== STEP || !bundle.roster.includes(author)) continue;
    if (!isObject(entry.document)) continue;
    const number = entry.document.get('number');
    if (typeof number !== 'number') continue;
    const other = first.get(number) ?? entry;
    first.set(number, other);
    if (digest(outputsOf(entry)) === digest(outputsOf(other))) continue;
    const facts = { name: author, number, other: other.signed.leaf.author };
    found.push(about('ends', entry, differ, facts));
  }
  return found;
}

function outputsOf({ document }: Entry): Json {
  return isObject(document) ? (document.get('outputs') ?? null) : null;
}
