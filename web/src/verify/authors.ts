/** Who signed: each leaf by the key of its author, the head by the log, its witnesses. */

import type { Bundle, Entry } from './bundle';
import type { Charter } from './charter';
import { ENCLAVE, type Finding, finding, SERVER } from './findings';
import { beyondItsKey, leafBeyondItsKey } from './gaps';
import { isObject } from './json';
import { leafSignedBy } from './leaves';
import { signedByLog } from './notes';
import { colludersOf } from './quorum';
import type { Signatures } from './signatures';
import { about } from './story';
import { told } from './told';

/** Return the charter's key of each party of the roster that is a member. */
export function rosterKeys(bundle: Bundle, charter: Charter): Map<string, string> {
  const keys = new Map<string, string>();
  for (const party of bundle.roster) {
    const key = charter.keys.get(party);
    if (key !== undefined) keys.set(party, key);
  }
  return keys;
}

/** Without a charter, check at least that each leaf is valid under the key that it claims. */
export async function selfSignedFailures(
  bundle: Bundle,
  signatures: Signatures,
): Promise<Finding[]> {
  const found: Finding[] = [];
  const claimed = new Map<string, string>();
  for (const entry of bundle.entries) {
    const { signed } = entry;
    if (!(await leafSignedBy(signed, signed.key, signatures))) {
      const invalid = '{title}: its signature is not valid under the key that it carries';
      found.push(about('signatures', entry, invalid));
    }
    const { author } = signed.leaf;
    if (author === ENCLAVE) continue;
    const before = claimed.get(author) ?? signed.key;
    claimed.set(author, before);
    if (before !== signed.key) {
      found.push(about('signatures', entry, '{title}: its author signs with two keys'));
    }
  }
  return found;
}

/** Check against the reader's own charter that no log key signs after its end. */
export async function endedKeyFailures(
  bundle: Bundle,
  pinned: Charter,
  signatures: Signatures,
): Promise<Finding[]> {
  const found: Finding[] = [];
  const one = await beyondItsKey(pinned, bundle.note, signatures);
  if (one !== null) {
    const late = 'the head of size {size} is signed by a log key that ended at size {end}';
    const facts = { size: bundle.note.checkpoint.size, end: one.size };
    found.push(finding('endedKey', told(late, facts)));
  }
  for (const entry of bundle.entries) {
    if (leafBeyondItsKey(pinned, entry)) {
      const late = "{title}: the centre's key of its log had ended before";
      found.push(about('endedKey', entry, late));
    }
  }
  return found;
}

/** With a charter, check that each leaf is signed by the author that it names. */
export async function authorFailures(
  bundle: Bundle,
  charter: Charter,
  signatures: Signatures,
): Promise<Finding[]> {
  const vouchers = await vouchersOf(bundle, rosterKeys(bundle, charter), signatures);
  const found: Finding[] = [];
  for (const entry of bundle.entries) {
    const { author } = entry.signed.leaf;
    const one =
      author === ENCLAVE
        ? await enclaveFailure(entry, vouchers, vouching(bundle), signatures)
        : await authorFailure(bundle, entry, charter, signatures);
    if (one !== null) found.push(one);
  }
  return found;
}

async function enclaveFailure(
  entry: Entry,
  vouchers: ReadonlyMap<string, ReadonlySet<string>>,
  needed: number,
  signatures: Signatures,
): Promise<Finding | null> {
  const { signed } = entry;
  const count = vouchers.get(signed.key)?.size ?? 0;
  if (count < needed) {
    const few =
      "{title}: its key is vouched for by {count} roster members' attested leaves, not by {needed}";
    return about('signatures', entry, few, { count, needed });
  }
  if (await leafSignedBy(signed, signed.key, signatures)) return null;
  return about('signatures', entry, '{title}: the attested enclave key did not sign it');
}

async function authorFailure(
  bundle: Bundle,
  entry: Entry,
  charter: Charter,
  signatures: Signatures,
): Promise<Finding | null> {
  const { leaf } = entry.signed;
  const { author } = leaf;
  const centre = author === SERVER;
  const key = centre ? charter.logKeys.get(leaf.origin) : charter.keys.get(author);
  if (!centre && key === undefined) {
    return about('signatures', entry, '{title}: its author is not a member of the charter');
  }
  if (key === undefined || !(await leafSignedBy(entry.signed, key, signatures))) {
    const other = "{title}: the charter's key of {author} did not sign it";
    return about('signatures', entry, other, { author });
  }
  if (!centre && leaf.job === bundle.job && !bundle.roster.includes(author)) {
    return about('signatures', entry, "{title}: its author is not on the job's roster");
  }
  return null;
}

/** Return how many members of the roster vouch for an enclave's key: one of them is honest. */
export function vouching(bundle: Bundle): number {
  return colludersOf(bundle.roster.length) + 1;
}

/** Return, per enclave release key, the roster members whose attested leaves carry it. */
export async function vouchersOf(
  bundle: Bundle,
  keys: ReadonlyMap<string, string>,
  signatures: Signatures,
): Promise<Map<string, Set<string>>> {
  const vouchers = new Map<string, Set<string>>();
  for (const entry of bundle.entries) {
    const { leaf } = entry.signed;
    const attested = leaf.kind === 'attested' && leaf.job === bundle.job && entry.opened;
    const release = isObject(entry.document) ? entry.document.get('release') : undefined;
    const key = keys.get(leaf.author);
    if (!attested || typeof release !== 'string' || key === undefined || !entry.opens) continue;
    if (await leafSignedBy(entry.signed, key, signatures)) {
      vouchers.set(release, (vouchers.get(release) ?? new Set()).add(leaf.author));
    }
  }
  return vouchers;
}

/** Check that the head is the pinned log's, and that the roster is the charter's. */
export async function headFailures(
  bundle: Bundle,
  charter: Charter,
  signatures: Signatures,
): Promise<Finding[]> {
  const found: Finding[] = [];
  if (bundle.origin !== charter.origin) {
    const other = 'the bundle is of the log {origin}; the charter names {charter_origin}';
    const facts = { origin: bundle.origin, charter_origin: charter.origin };
    found.push(finding('head', told(other, facts)));
  }
  if (!(await signedByLog(bundle.note, charter.logKey, signatures))) {
    found.push(finding('head', told("the head is not signed by the charter's log key")));
  }
  for (const [party, key] of bundle.contributors) {
    if (charter.keys.get(party) === key) continue;
    const other = "roster member {party} is not in the charter with the spec's key";
    found.push(finding('roster', told(other, { party })));
  }
  return found;
}
