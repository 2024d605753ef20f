/**
 * A report beside the record of its job: the comparison of models is the one that was recorded
 * (`secureflow.engines.ledger.reported`).
 */

import type { Bundle } from './bundle';
import { digest } from './canonical';
import { decimalOf, firstPower, ten, within } from './decimal';
import { type Finding, finding } from './findings';
import type { Metrics } from './gates';
import { isObject, type Json, type JsonObject } from './json';
import { cut } from './bytes';
import { shown } from './plain';
import { type SignedSteps, succeeded } from './stepoutputs';
import { type Fact, Refusal, told } from './told';

const MEMBERS = ['same_rows', 'models', 'lines'];
const COUNTED = new Set(['rows', 'positives', 'undefined']);
const CELL = /^-?[0-9][0-9,]{0,400}(?:\.[0-9]{1,12})?(?:e[+-]?[0-9]{1,3})?$/;
/** The last decimal of figures that parties sign. */
const SIGNED_UNIT = ten(-6);

export interface Reported {
  readonly failures: Finding[];
  readonly missing: Finding[];
}

/** Return what is wrong with, or missing of, a foreign report; null is no report. */
export function judgeReport(bundle: Bundle, steps: SignedSteps, report: Json): Reported {
  const found: Reported = { failures: [], missing: [] };
  if (report === null) return found;
  if (!isObject(report) || report.get('job') !== bundle.job) {
    found.failures.push(wrong('the report is not one of job {job}', { job: bundle.job }));
    return found;
  }
  const named = succeeded(bundle).map((one) => one.get('comparison') ?? null);
  const table = report.get('comparison') ?? null;
  if (table === null) {
    if (named.some((one) => one !== null)) {
      found.failures.push(wrong('the record names a comparison of models, and the report has none'));
    }
    return found;
  }
  compare(found, table, named);
  found.failures.push(...misquoted(table, steps));
  return found;
}

function compare(found: Reported, table: Json, named: readonly Json[]): void {
  let own: string;
  try {
    own = comparisonDigest(isObject(table) ? table : new Map());
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    found.failures.push(wrong("the report's comparison of models cannot be read"));
    return;
  }
  if (!named.some((one) => one !== null)) {
    found.missing.push(wrong('the record names no comparison of models; the report has one'));
  }
  const differ =
    'the report compares models in a table of digest {digest}, the record names {other}';
  for (const other of named) {
    if (other === null || other === own) continue;
    const told = typeof other === 'string' ? shown(cut(other, 64)) : 'another';
    found.failures.push(wrong(differ, { digest: own, other: told }));
  }
}

/** Return the digest by which the record names a comparison, in whatever language it is. */
function comparisonDigest(table: JsonObject): string {
  return digest(new Map(MEMBERS.map((name) => [name, table.get(name) ?? null])));
}

function misquoted(table: Json, steps: SignedSteps): Finding[] {
  const [columns, lines] = [columnsOf(table), linesOf(table)];
  const found: Finding[] = [];
  for (const { step, numbers } of steps.gates) {
    for (const number of numbers) {
      const signed = steps.figures(number);
      if (signed === null) continue;
      const places = columns.flatMap((one, place) => (one === step ? [place] : []));
      if (places.length === signed.length) {
        places.forEach((place, at) => found.push(...others(step, place, signed[at], lines)));
        continue;
      }
      const few =
        'the report compares {count} models of step {step}, parties signed figures of {signed}';
      found.push(wrong(few, { count: places.length, step, signed: signed.length }));
    }
  }
  return found;
}

function others(
  step: string,
  place: number,
  figures: Metrics[number] | undefined,
  lines: ReadonlyMap<string, readonly string[]>,
): Finding[] {
  const found: Finding[] = [];
  for (const [metric, signed] of [...(figures ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const cell = lines.get(metric)?.[place] ?? '';
    if (agree(metric, cell, signed)) continue;
    const other =
      "the report's table shows {metric} of model {place} of step {step} as {cell}, parties " +
      'signed {signed}';
    const facts = { metric, place: place + 1, step, cell: CELL.test(cell) ? cell : '?', signed };
    found.push(wrong(other, facts));
  }
  return found;
}

/** Tell whether a cell shows a signed figure, rounded as tables round it. */
function agree(metric: string, cell: string, signed: string): boolean {
  if (!CELL.test(cell)) return false;
  const value = decimalOf(cell);
  const first = firstPower(value);
  const near = first === null || (first >= -3 && first <= 0);
  const unit = COUNTED.has(metric) ? 0 : near ? -4 : first - 3;
  return within(value, decimalOf(signed), [ten(unit), SIGNED_UNIT]);
}

function columnsOf(table: Json): string[] {
  return members(table, 'models').map((one) => {
    const step = one.get('step');
    return typeof step === 'string' ? step : '';
  });
}

function linesOf(table: Json): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const one of members(table, 'lines')) {
    const metric = one.get('metric');
    if (typeof metric !== 'string') continue;
    const values = members(one, 'cells').map((cell) => cell.get('value'));
    found.set(metric, values.map((value) => (typeof value === 'string' ? value : '')));
  }
  return found;
}

function members(value: Json, name: string): JsonObject[] {
  const listed = isObject(value) ? value.get(name) : null;
  return Array.isArray(listed) ? listed.map((one) => (isObject(one) ? one : new Map())) : [];
}

function wrong(template: string, facts: Readonly<Record<string, Fact>> = {}): Finding {
  return finding('report', told(template, facts));
}
