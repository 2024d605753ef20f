/** Draws a verdict: the status, every check with its inputs, the ends, what is not proven. */

import catalogue from 'virtual:catalogue';
import { hex } from '../bytes';
import { type Check, checksOf } from '../checks';
import { namedBy } from '../output';
import type { Told } from '../told';
import type { Verdict } from '../verify';
import { make, table } from './dom';
import { CHECK, INPUT, type Lang, OWN, PAGE, say, STATE, STATUS } from './texts';

const MOST_REASONS = 200;
const MARK = { passed: '✓', failed: '✗', missing: '…', skipped: '–' } as const;

/** Return a text of the verifier in a language. */
export function tell(told: Told, lang: Lang): string {
  if (lang === 'en') return told.english;
  return told.in((template) => OWN[template] ?? catalogue[template] ?? template);
}

/** Draw a verdict. */
export function drawVerdict(verdict: Verdict, lang: Lang): HTMLElement[] {
  const kind = verdict.status === 'verified' ? 'passed' : verdict.status;
  const status = make('p', { class: `status ${kind.replace(/,.*/, '')}`, id: 'status' },
    say(STATUS[verdict.status], lang));
  const checks = checksOf(verdict).map((one) => drawCheck(one, lang));
  const parts: HTMLElement[] = [
    status,
    make('h2', {}, say(PAGE.checks, lang)),
    make('ul', { class: 'checks' }, ...checks),
  ];
  if (verdict.authors.length > 0) parts.push(drawEnds(verdict, lang));
  if (verdict.gaps.length > 0) parts.push(drawGaps(verdict, lang));
  if (verdict.held.length > 0) parts.push(drawHeld(verdict, lang));
  if (verdict.anchors.length > 0) parts.push(drawAnchors(verdict, lang));
  return parts;
}

/** Tell whether a verified record names a file as the job's model, by its BLAKE3, and who signed that. */
export function drawOutput(digest: Uint8Array, verdict: Verdict | null, lang: Lang): HTMLElement {
  const text = hex(digest);
  const names = verdict?.bundle ? namedBy(verdict.bundle, text) : [];
  const holds = names.length > 0 && verdict?.status === 'verified';
  const words = holds ? PAGE.outputNamed : names.length > 0 ? PAGE.outputUnproved : PAGE.outputForeign;
  const who = names.length > 0 ? ` (${names.join(', ')})` : '';
  return make('p', { class: holds ? 'passed' : 'missing', id: 'output-told' },
    `${say(PAGE.outputDigest, lang)}: `, make('code', {}, text), ` ${say(words, lang)}${who}`);
}

function drawCheck(check: Check, lang: Lang): HTMLElement {
  const inputs = check.inputs
    .filter(([, value]) => value !== '')
    .flatMap(([name, value]) => [
      make('dt', {}, say(INPUT[name], lang)), make('dd', {}, make('code', {}, value)),
    ]);
  const reasons = check.reasons.slice(0, MOST_REASONS).map((one) => make('li', {}, tell(one, lang)));
  const left = check.reasons.length - reasons.length;
  if (left > 0) reasons.push(make('li', {}, `+ ${left}`));
  const parts: Node[] = [
    make('span', { class: 'mark', 'aria-hidden': 'true' }, MARK[check.state]),
    make('strong', {}, say(CHECK[check.id], lang)),
    make('span', { class: 'state' }, ` ${say(STATE[check.state], lang)}`),
  ];
  if (reasons.length > 0) parts.push(make('ul', { class: 'reasons' }, ...reasons));
  if (inputs.length > 0) parts.push(make('dl', {}, ...inputs));
  return make('li', { class: check.state, 'data-check': check.id }, ...parts);
}

function drawEnds(verdict: Verdict, lang: Lang): HTMLElement {
  const rows = verdict.authors.map((end) => {
    const words = end.late ? PAGE.late : end.signed ? PAGE.signed : PAGE.word;
    return [`${end.author} ${end.key}`.trim(), String(end.count), say(words, lang)];
  });
  const heads = [PAGE.author, PAGE.leaves, PAGE.ended].map((one) => say(one, lang));
  return table(say(PAGE.authors, lang), heads, rows);
}

function drawGaps(verdict: Verdict, lang: Lang): HTMLElement {
  const rows = verdict.gaps.map((one) => [
    `${one.origin} (${one.size})`,
    `${one.continuedAs} (${one.start})`,
    one.reason || '–',
    `${one.signed.join(', ')} (${one.signed.length}/${one.members})`,
  ]);
  const words = [PAGE.gaps, ...GAP_HEADS].map((one) => say(one, lang));
  return table(words[0] ?? '', words.slice(1), rows);
}

const GAP_HEADS = [
  ['Log (entries)', '账本（条目）'],
  ['Continued as (from)', '延续为（起始）'],
  ['Reason for another key', '更换密钥的原因'],
  ['Signed by', '签署方'],
] as const;

function drawHeld(verdict: Verdict, lang: Lang): HTMLElement {
  const rows = verdict.held.map((one) => [
    one.author,
    one.kind,
    one.hash,
    say(STANDING[one.standing], lang),
    one.reason === null ? '' : tell(one.reason, lang),
  ]);
  const words = [PAGE.heldLeaves, ...HELD_HEADS].map((one) => say(one, lang));
  return table(words[0] ?? '', words.slice(1), rows);
}

const HELD_HEADS = [
  ['Author', '作者'],
  ['Kind', '种类'],
  ['Leaf', '叶子'],
  ['Standing', '状况'],
  ['Reason', '原因'],
] as const;
const STANDING = {
  'in the story': ['in the story', '在记录中'],
  contradicts: ['contradicts', '矛盾'],
  'not provable': ['not provable', '无法证明'],
  foreign: ['foreign', '无关'],
} as const;

function drawAnchors(verdict: Verdict, lang: Lang): HTMLElement {
  const rows = verdict.anchors.map((one) => [
    one.member || '–',
    one.place || '–',
    one.kind === 'anchor' ? `${one.kind} (${one.size})` : one.kind || '–',
    one.transaction || '–',
    String(one.block),
    one.at > 0 ? new Date(Math.min(one.at, LAST_SECOND) * 1000).toISOString() : '–',
    say(ANCHOR_STANDING[one.standing], lang),
    one.reason === null ? say(COVERS[one.covers], lang) : tell(one.reason, lang),
  ]);
  const words = [PAGE.anchored, ...ANCHOR_HEADS].map((one) => say(one, lang));
  return table(words[0] ?? '', words.slice(1), rows);
}

/** The last second of the year 9999: `Date` refuses far later ones. */
const LAST_SECOND = 253_402_300_799;
const ANCHOR_HEADS = [
  ['Member', '成员'],
  ['Place', '锚定处'],
  ['Deed (entries)', '事项（条目）'],
  ['Transaction', '交易'],
  ['Block', '区块'],
  ['Final at, by the member', '终局时间（成员所述）'],
  ['Receipt', '回执'],
  ['What follows', '由此可知'],
] as const;
const ANCHOR_STANDING = {
  'receipt holds': ['its keeper signed it', '保管方已签名'],
  'not checked': ['not checked (no node)', '未检查（无节点）'],
  foreign: ['says nothing here', '与此无关'],
  false: ['false', '虚假'],
} as const;
const COVERS = {
  whole: ['the whole record stands under this head', '整份记录都在此账本头之下'],
  part: ['entries below this size stand under it', '此大小以下的条目在其之下'],
  '': ['the member says so', '成员如此声明'],
} as const;
