/**
 * What decides whether the steps of a foreign pipeline's spec run
 * (`secureflow.engines.ledger.gates`, and `skipped_by` of `secureflow.domain.specs.conditions`).
 */

import { type Decimal, decimalOf, less } from './decimal';
import { Double, isObject, type Json, type JsonObject } from './json';

const PIPELINE = 'pipeline';
/** Steps, attempts at one, and names that one lists, that are read. */
const MOST = 64;
const MOST_MODELS = 16;
const MOST_FIGURES = 64;
const GREATEST = 1e12;
const LIMIT = /^-?[0-9]{1,13}(\.[0-9]{1,6})?$/;
const SLUG = /^[a-z0-9][a-z0-9-]{0,62}$/;
const METRIC = /^[a-z][a-z0-9_]{0,40}$/;
const FIGURE = /^-?[0-9]{1,300}\.[0-9]{6}$/;

/** What a figure must reach: one limit of the two. */
interface Condition {
  readonly step: string;
  readonly metric: string;
  readonly atLeast: Decimal | null;
  readonly atMost: Decimal | null;
}

/** What decides whether a step runs; `model` is null if no model is meant that is measured. */
export interface Gate {
  readonly step: string;
  readonly numbers: readonly number[];
  readonly before: ReadonlySet<string>;
  readonly when: Condition | null;
  readonly toldBy: readonly number[];
  readonly model: number | null;
}

/** Figures as parties sign them, of each model of an evaluation. */
export type Metrics = readonly ReadonlyMap<string, string>[];
/** Of a part's number, the figures that were signed; undefined if nothing was. */
export type Signed = (number: number) => Metrics | undefined;

/** The steps have not the form that this version knows. */
class UnreadableSteps extends Error {}

/** Return of each step of a pipeline what decides whether it runs; null if it cannot be read. */
export function gatesOf(spec: JsonObject): Gate[] | null {
  try {
    return spec.get('kind') === PIPELINE ? read(spec) : [];
  } catch (error) {
    if (error instanceof UnreadableSteps) return null;
    throw error;
  }
}

/** Return the ids of the steps that do not run, by what was signed. */
export function skippedBy(gates: readonly Gate[], signed: Signed): Set<string> {
  const found = new Set<string>();
  for (const gate of gates) {
    const lost = [...gate.before].some((one) => found.has(one));
    if (lost || isClosed(gate, signed)) found.add(gate.step);
  }
  return found;
}

/** Return foreign figures of the form that parties sign; null for anything else. */
export function metricsOf(value: Json): Metrics | null {
  if (!Array.isArray(value) || value.length < 1 || value.length > MOST_MODELS) return null;
  const found: ReadonlyMap<string, string>[] = [];
  for (const one of value) {
    if (!isObject(one) || one.size > MOST_FIGURES) return null;
    for (const [name, figure] of one) {
      if (!METRIC.test(name) || typeof figure !== 'string' || !FIGURE.test(figure)) return null;
    }
    found.push(one as ReadonlyMap<string, string>);
  }
  return found;
}

function isClosed({ when, toldBy, model }: Gate, signed: Signed): boolean {
  const told = toldBy.map(signed).find((one) => one !== undefined);
  if (when === null || told === undefined) return false;
  const figure = model === null ? undefined : told[model]?.get(when.metric);
  if (figure === undefined) return true;
  const number = decimalOf(figure);
  const tooLow = when.atLeast !== null && less(number, when.atLeast);
  return tooLow || (when.atMost !== null && less(when.atMost, number));
}

function read(spec: JsonObject): Gate[] {
  const [steps, attempts] = [spec.get('steps'), spec.get('attempts') ?? 1];
  if (spec.has('attempts') && spec.get('attempts') === null) throw new UnreadableSteps();
  if (!Array.isArray(steps) || steps.length < 1 || steps.length > MOST) throw new UnreadableSteps();
  if (typeof attempts !== 'number' || attempts < 1 || attempts > MOST) {
    throw new UnreadableSteps();
  }
  const byId = new Map(steps.map((one) => [slug(object(one).get('id')), object(one)]));
  if (byId.size !== steps.length) throw new UnreadableSteps();
  const numbers = new Map(
    [...byId.keys()].map((step, place) => [
      step,
      Array.from({ length: attempts }, (_, at) => place * attempts + 1 + at),
    ]),
  );
  return [...byId.keys()].map((step) => gate(step, byId, numbers));
}

function gate(
  step: string,
  byId: ReadonlyMap<string, JsonObject>,
  numbers: ReadonlyMap<string, readonly number[]>,
): Gate {
  const value = byId.get(step) as JsonObject;
  const before = [
    ...edges(value).map(([, giver]) => giver),
    ...listed(value.get('needs')).map((one) => slug(one)),
  ];
  const own = { step, numbers: numbers.get(step) ?? [] };
  const conditional = value.get('when') ?? null;
  if (conditional === null) {
    return { ...own, before: new Set(before), when: null, toldBy: [], model: null };
  }
  const told = object(conditional);
  const when = condition(told);
  const giver = byId.get(when.step);
  if (giver === undefined) throw new UnreadableSteps();
  const named = told.get('of') ?? null;
  const model = modelOf(giver, named === null ? null : slug(named));
  const toldBy = numbers.get(when.step) ?? [];
  return { ...own, before: new Set([...before, when.step]), when, toldBy, model };
}

function condition(value: JsonObject): Condition {
  const metric = value.get('metric');
  if (typeof metric !== 'string' || !METRIC.test(metric)) throw new UnreadableSteps();
  const [least, most] = [value.get('at_least') ?? null, value.get('at_most') ?? null];
  if ((least === null) === (most === null)) throw new UnreadableSteps();
  const [atLeast, atMost] = [limit(least), limit(most)];
  return { step: slug(value.get('step')), metric, atLeast, atMost };
}

function limit(value: Json): Decimal | null {
  if (value === null) return null;
  const number = value instanceof Double ? value.value : value;
  if (typeof number !== 'number' || Math.abs(number) > GREATEST) throw new UnreadableSteps();
  const text = String(number);
  if (!LIMIT.test(text)) throw new UnreadableSteps();
  return decimalOf(text);
}

function modelOf(step: JsonObject, of: string | null): number | null {
  if (of === null) return listed(object(step.get('job')).get('models')).length === 1 ? 0 : null;
  const givers = edges(step).filter(([input]) => input === 'models');
  const at = givers.findIndex(([, giver]) => giver === of);
  return at < 0 ? null : at;
}

function edges(step: JsonObject): [string, string][] {
  return listed(step.get('takes')).map((one) => {
    const edge = object(one);
    return [slug(edge.get('input')), slug(edge.get('step'))];
  });
}

function listed(value: Json | undefined): readonly Json[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > MOST) throw new UnreadableSteps();
  return value;
}

function object(value: Json | undefined): JsonObject {
  if (!isObject(value)) throw new UnreadableSteps();
  return value;
}

function slug(value: Json | undefined): string {
  if (typeof value !== 'string' || !SLUG.test(value)) throw new UnreadableSteps();
  return value;
}
