/**
 * The document in which an enclave tells what each party's updates were worth, and its rules
 * (`secureflow.domain.scoredocument`).
 */

import { canonicalBytes } from './canonical';
import { hex } from './bytes';
import { Double, isObject, type Json, type JsonObject } from './json';
import { hasExactly } from './leaves';

/** What the enclave's signature over the document is of; also the member of the job's outcome. */
export const KIND = 'contribution';

const SETTINGS = ['method', 'rows', 'permutations', 'within', 'between'];
const NAMES = ['job', 'spec', 'scored'];
const SCORED = [
  ...NAMES, ...SETTINGS, 'seed', 'rounds', 'evaluations', 'seconds', 'commitments', 'scores',
];
const FIGURES = ['score', 'low', 'high', 'share'];
const STEPS = 10_000;
const MAX_SCORE = 1e9;
const HEX = /^[0-9a-f]{64}$/;
const FORM = 'their form is wrong';

/** What a document is held to; `plan` is the spec's `plan.contribution`. */
export interface Asked {
  readonly job: string;
  readonly spec: string;
  readonly plan: JsonObject;
  readonly parties: readonly string[];
}

/** Score, low, high and share of one party in steps of 10⁻⁴. */
export type Figures = readonly [number, number, number, number];

/** Return document and signature of a signed document; null for anything of another form. */
export function signedParts(signed: Json): readonly [JsonObject, string] | null {
  if (!isObject(signed) || !hasExactly(signed, ['document', 'signature'])) return null;
  const [document, signature] = [signed.get('document'), signed.get('signature')];
  return isObject(document) && typeof signature === 'string' ? [document, signature] : null;
}

/** Return why a foreign document cannot be the job's; "" if it can. */
export function documentProblem(document: JsonObject, asked: Asked): string {
  if (document.get('job') !== asked.job || document.get('spec') !== asked.spec) {
    return 'they are of another job or spec';
  }
  if (document.get('scored') === false) {
    const right = hasExactly(document, [...NAMES, 'parties']) && lists(document.get('parties'), asked);
    return right ? '' : FORM;
  }
  if (!formed(document)) return FORM;
  if (settings(document) !== settings(asked.plan)) return 'they were not made as the plan says';
  const [commitments, scores] = [document.get('commitments'), document.get('scores')];
  if (!named(commitments, asked) || !named(scores, asked)) return 'their parties are not the roster';
  const lines = asked.parties.map((party) => figuresOf(scores.get(party) ?? null));
  const found = lines.filter((line) => line !== null);
  const spans = found.every(([score, low, high]) => low <= score && score <= high);
  if (found.length < lines.length || !spans || ![...commitments.values()].every(isHex)) return FORM;
  const shares = sharesOf(found.map(([score]) => score));
  const follow = found.every((line, place) => line[3] === shares[place]);
  return follow ? '' : 'their shares do not follow from the scores';
}

/** Return the figures of one party; null if malformed. */
export function figuresOf(line: Json): Figures | null {
  if (!isObject(line) || !hasExactly(line, FIGURES)) return null;
  const [score, low, high, share] = FIGURES.map((name) => steps(line.get(name)));
  if (score === null || score === undefined || low === null || low === undefined) return null;
  if (high === null || high === undefined || share === null || share === undefined) return null;
  return [score, low, high, share];
}

/** Return a party's figures as reports show them: score, interval, share in per cent. */
export function shownLine([score, low, high, share]: Figures): string[] {
  const interval = `[${decimal(low, 4)}, ${decimal(high, 4)}]`;
  return [decimal(score, 4), interval, `${decimal(share, 2)} %`];
}

/** Return the shares of scores: they add up to 10⁴, or all are 0. */
function sharesOf(scores: readonly number[]): number[] {
  const clipped = scores.map((one) => BigInt(Math.max(one, 0)) * BigInt(STEPS));
  const total = clipped.reduce((sum, one) => sum + one, 0n) / BigInt(STEPS);
  if (total === 0n) return clipped.map(() => 0);
  const whole = clipped.map((one) => Number(one / total));
  const left = clipped.map((one) => one % total);
  const order = [...left.keys()].sort((a, b) => byValue(left[b] ?? 0n, left[a] ?? 0n));
  const missing = STEPS - whole.reduce((sum, one) => sum + one, 0);
  for (const place of order.slice(0, missing)) whole[place] = (whole[place] ?? 0) + 1;
  return whole;
}

function byValue(one: bigint, other: bigint): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function formed(document: JsonObject): boolean {
  if (!hasExactly(document, SCORED) || document.get('scored') !== true) return false;
  const rounds = document.get('rounds');
  if (!Array.isArray(rounds) || !rounds.every(isCount)) return false;
  if (rounds.some((one, place) => place > 0 && Number(rounds[place - 1]) >= Number(one))) return false;
  const seconds = numberOf(document.get('seconds'));
  const timed = seconds !== null && seconds >= 0 && seconds <= MAX_SCORE;
  return timed && isCount(document.get('evaluations')) && isHex(document.get('seed'));
}

function settings(of: JsonObject): string {
  return hex(canonicalBytes(SETTINGS.map((name) => of.get(name) ?? null)));
}

function named(value: Json | undefined, { parties }: Asked): value is JsonObject {
  return isObject(value) && hasExactly(value, parties);
}

function lists(value: Json | undefined, { parties }: Asked): boolean {
  if (!Array.isArray(value) || value.length !== parties.length) return false;
  const found = new Set(value);
  return found.size === parties.length && parties.every((party) => found.has(party));
}

function isHex(value: Json | undefined): boolean {
  return typeof value === 'string' && HEX.test(value);
}

function isCount(value: Json | undefined): boolean {
  return typeof value === 'number' && value >= 0;
}

function numberOf(value: Json | undefined): number | null {
  return typeof value === 'number' ? value : value instanceof Double ? value.value : null;
}

function steps(value: Json | undefined): number | null {
  const number = numberOf(value);
  if (number === null || Math.abs(number) > MAX_SCORE) return null;
  const found = Math.round(number * STEPS);
  return found / STEPS === number ? found + 0 : null;
}

function decimal(of: number, decimals: number): string {
  const unit = 10 ** decimals;
  const size = Math.abs(of);
  const rest = String(size % unit).padStart(decimals, '0');
  return `${of < 0 ? '-' : ''}${Math.floor(size / unit)}.${rest}`;
}
