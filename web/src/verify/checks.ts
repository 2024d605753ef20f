/** A verdict as a list of checks, each with what it looked at: for every page that shows one. */

import { hex } from './bytes';
import { CHECKS, type CheckId } from './findings';
import { shown } from './plain';
import type { Told } from './told';
import type { Verdict } from './verify';

/** `failed` contradicts, `missing` is not there yet, `skipped` was not asked or not possible. */
export type State = 'passed' | 'failed' | 'missing' | 'skipped';

/** One check: its inputs by name (the page has the words), what came of it, and why. */
export interface Check {
  readonly id: CheckId;
  readonly state: State;
  readonly inputs: readonly (readonly [InputName, string])[];
  readonly reasons: readonly Told[];
}

export type InputName =
  | 'entries' | 'job' | 'roster' | 'spec' | 'charter' | 'charterVersion' | 'madeUnder' | 'origin'
  | 'size' | 'root' | 'documents' | 'authors' | 'outcome' | 'signedEnds' | 'logKey' | 'cosigners'
  | 'quorum' | 'leaves' | 'accusations' | 'gaps' | 'members' | 'anchors' | 'anchoredAt';

/** What only a pinned charter can tell. */
const NEEDS_CHARTER: ReadonlySet<CheckId> = new Set([
  'charter', 'endedKey', 'head', 'roster', 'cosignatures',
]);

/** Return every check of a verdict, in the order in which they are shown; nothing in it is hidden. */
export function checksOf(verdict: Verdict): Check[] {
  return CHECKS.map((id) => {
    const failed = verdict.failures.filter((one) => one.check === id).map((one) => one.told);
    const missing = verdict.missing.filter((one) => one.check === id).map((one) => one.told);
    return {
      id,
      state: stateOf(id, verdict, failed.length, missing.length),
      inputs: inputsOf(id, verdict).map(([name, value]) => [name, shown(value)] as const),
      reasons: [...failed, ...missing],
    };
  });
}

function stateOf(id: CheckId, verdict: Verdict, failed: number, missing: number): State {
  if (failed > 0) return 'failed';
  if (missing > 0) return 'missing';
  if (verdict.bundle === null) return 'skipped';
  if (verdict.charter === null && NEEDS_CHARTER.has(id)) return 'skipped';
  if (id === 'report' && !verdict.reported) return 'skipped';
  if (id === 'anchors' && verdict.anchors.length === 0) return 'skipped';
  return id === 'held' && verdict.held.length === 0 ? 'skipped' : 'passed';
}

function inputsOf(id: CheckId, verdict: Verdict): Check['inputs'] {
  const { bundle, charter } = verdict;
  if (bundle === null) return [];
  const { origin, size, root } = bundle.note.checkpoint;
  const entries = ['entries', String(bundle.entries.length)] as const;
  const roster = ['roster', bundle.roster.join(', ')] as const;
  const head = [['origin', origin], ['size', String(size)], ['root', hex(root)]] as const;
  const log = [['logKey', charter?.logKey ?? '']] as const;
  const inputs: Record<CheckId, Check['inputs']> = {
    format: [entries],
    job: [['job', bundle.job], roster],
    spec: [['spec', bundle.specDigest]],
    charter: charterInputs(verdict),
    order: [entries, ['origin', bundle.origin]],
    inclusion: [entries, ...head],
    documents: [['documents', String(bundle.entries.filter((one) => one.opened).length)]],
    chains: [['authors', authorsOf(verdict)]],
    approvals: [roster],
    ends: [['outcome', verdict.outcome], ['signedEnds', signedEnds(verdict)]],
    report: [['job', bundle.job]],
    held: [['leaves', String(verdict.held.length)]],
    endedKey: [...head],
    signatures: [entries, ['authors', authorsOf(verdict)]],
    head: [...head, ...log],
    roster: [roster, ['members', charter?.members.map((one) => one.organisation).join(', ') ?? '']],
    cosignatures: [
      ['cosigners', verdict.cosigners.join(', ')],
      ['quorum', String(verdict.quorum)],
      ['root', hex(root)],
    ],
    accusations: [['accusations', accusedOf(verdict)]],
    anchors: [['anchors', String(verdict.anchors.length)], ['anchoredAt', placesOf(verdict)]],
  };
  return inputs[id];
}

function charterInputs({ bundle, charter, gaps }: Verdict): Check['inputs'] {
  return [
    ['charter', charter?.digest ?? ''],
    ['charterVersion', String(charter?.version ?? '')],
    ['madeUnder', bundle?.charter ?? ''],
    ['gaps', gaps.map((one) => `${one.origin} ${one.size} → ${one.continuedAs}`).join('; ')],
  ];
}

function authorsOf({ bundle }: Verdict): string {
  const names = bundle?.entries.map((entry) => entry.signed.leaf.author) ?? [];
  return [...new Set(names)].sort().join(', ');
}

function signedEnds({ authors }: Verdict): string {
  return authors.filter((end) => end.signed).map((end) => `${end.author} (${end.count})`).join(', ');
}

function placesOf({ anchors }: Verdict): string {
  return [...new Set(anchors.map((one) => one.place))].sort().join(', ');
}

function accusedOf({ accusations }: Verdict): string {
  return accusations.map((one) => `${one.author} → ${one.against.join(', ')}: ${one.code}`).join('; ');
}
