/** Whether the entries of a bundle tell one story: of this job, in this log, none left out. */

import type { Bundle, Entry } from './bundle';
import { endsUnapproved, FINISHED } from './endings';
import { type CheckId, ENCLAVE, type Finding, finding, SERVER } from './findings';
import { verifyInclusion } from './merkle';
import { colludersOf, quorumOf } from './quorum';
import { type Fact, told } from './told';

/** Check that job, spec and roster match: the leaves bind the spec, the spec the roster. */
export function storyFailures(bundle: Bundle, expected: string): Finding[] {
  const found: Finding[] = [];
  const { origin } = bundle.note.checkpoint;
  if (origin !== bundle.origin) {
    const facts = { origin, bundle_origin: bundle.origin };
    found.push(finding('head', told('the head is of the log {origin}, not {bundle_origin}', facts)));
  }
  if (!bundle.entries.some((entry) => entry.signed.leaf.job === bundle.job)) {
    found.push(finding('job', told('no entry belongs to job {job}', { job: bundle.job })));
  }
  const parties = bundle.contributors.map(([party]) => party);
  if (JSON.stringify(parties) !== JSON.stringify(bundle.roster)) {
    found.push(finding('job', told('the roster is not the one in the spec')));
  }
  if (quorumOf(bundle.roster.length) <= colludersOf(bundle.roster.length)) {
    const alone =
      'a roster of one: whoever colludes with the centre would be its only witness';
    found.push(finding('job', told(alone)));
  }
  const spec = bundle.specDigest;
  if (expected !== '' && spec !== expected) {
    const facts = { spec, expected };
    found.push(finding('spec', told('it is about the spec {spec}, not about {expected}', facts)));
  }
  for (const entry of bundle.entries) {
    const { leaf } = entry.signed;
    const optional = leaf.author === SERVER && leaf.spec === '';
    if (leaf.job === bundle.job && leaf.spec !== spec && !optional) {
      found.push(about('spec', entry, "{title}: it binds another spec than the bundle's"));
    }
  }
  return found;
}

/** Check that each leaf is of this log, in its place under the head, and opened correctly. */
export function entryFailures(bundle: Bundle, origins: ReadonlySet<string>): Finding[] {
  const head = bundle.note.checkpoint;
  const found: Finding[] = [];
  let last = -1;
  for (const entry of bundle.entries) {
    if (entry.index <= last) {
      found.push(about('order', entry, '{title}: entries are not in ascending order'));
    }
    last = entry.index;
    const { node, leaf } = entry.signed;
    if (!origins.has(leaf.origin)) {
      const facts = { origin: leaf.origin };
      found.push(about('order', entry, '{title}: it was signed for the log {origin}', facts));
    }
    if (!verifyInclusion(node, BigInt(entry.index), head.size, entry.proof, head.root)) {
      found.push(
        about('inclusion', entry, "{title}: its inclusion proof does not lead to the head's root"),
      );
    }
    if (!entry.opens) {
      found.push(
        about('documents', entry, '{title}: document and salt do not open its commitment'),
      );
    }
  }
  return found;
}

/** Check that each author's leaves form one unbroken path of `prev` links. */
export function chainFailures(bundle: Bundle): Finding[] {
  const chains = new Map<string, Entry[]>();
  const known = new Map<string, Set<string>>();
  for (const entry of bundle.entries) {
    const { leaf, key, hash } = entry.signed;
    const name = `${leaf.author} ${key}`;
    known.set(name, (known.get(name) ?? new Set()).add(hash));
    if (leaf.prev !== '' || leaf.author !== SERVER) {
      chains.set(name, [...(chains.get(name) ?? []), entry]);
    }
  }
  return [...chains].flatMap(([name, chain]) =>
    pathFailures(chain, known.get(name) ?? new Set(), bundle.job),
  );
}

function pathFailures(
  chain: readonly Entry[],
  known: ReadonlySet<string>,
  job: string,
): Finding[] {
  const found: Finding[] = [];
  const following = new Map<string, Entry>();
  for (const entry of chain) {
    if (following.has(entry.signed.leaf.prev)) {
      const twice = '{title}: another leaf of its author has the same prev, or it appears twice';
      found.push(about('chains', entry, twice));
    }
    following.set(entry.signed.leaf.prev, entry);
  }
  const unknown = chain.filter((entry) => !known.has(entry.signed.leaf.prev));
  const first = unknown[0] ?? (chain[0] as Entry);
  if (first.signed.leaf.author === ENCLAVE && first.signed.leaf.prev !== '') {
    found.push(about('chains', first, "{title}: this enclave key's first leaf is missing"));
  }
  for (const entry of unknown.slice(1)) {
    const gap = '{title}: the leaf that its prev names is missing: one was dropped or inserted';
    found.push(about('chains', entry, gap));
  }
  let last = -1;
  for (let step: Entry | undefined = first; step; step = following.get(step.signed.hash)) {
    if (step.signed.leaf.job !== job) continue;
    if (step.index < last) {
      found.push(about('chains', step, '{title}: it comes before an earlier leaf of its author'));
    }
    last = step.index;
  }
  return found;
}

/**
 * Check that each organisation approved the job before its first leaf in it. One that did not
 * approve it signs nothing but that, at the end of a job that failed.
 */
export function consentFailures(bundle: Bundle): Finding[] {
  const found: Finding[] = [];
  const approved = new Set([SERVER, ENCLAVE]);
  for (const entry of bundle.entries) {
    const { leaf } = entry.signed;
    if (leaf.job !== bundle.job || approved.has(leaf.author)) continue;
    approved.add(leaf.author);
    const unapproved = leaf.kind === FINISHED && endsUnapproved(entry.document);
    if (leaf.kind !== 'approval' && !unapproved) {
      const late = "{title}: its author's approval of the job does not come before it";
      found.push(about('approvals', entry, late));
    }
  }
  return found;
}

/** Return a finding about one entry. */
export function about(
  check: CheckId,
  entry: Entry,
  template: string,
  facts: Readonly<Record<string, Fact>> = {},
): Finding {
  return finding(check, told(template, { title: entry.title, ...facts }));
}
