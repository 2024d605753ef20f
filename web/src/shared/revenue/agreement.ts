/** A revenue agreement as it is read by people: its terms, and the figures of a score. */
import { decimalsOf } from './currencies';

/** Basis points of the whole, and steps of a score. */
export const WHOLE = 10_000;
const MEASURES = ['scores', 'rows', 'participation'] as const;

export type Terms = {
  project: string;
  version: number;
  previous: string;
  members: { organisation: string; key: string; quality: number }[];
  weights: { measure: string; weight: number }[];
  floor: number;
  rounding: string;
  currency: string;
  decimals: number;
  windowDays: number;
  payer: string;
  perJob: number;
  entered: boolean;
  unscored: string;
  kinds: string[];
};

function members(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

const text = (value: unknown) => (typeof value === 'string' ? value : '');
const whole = (value: unknown) =>
  typeof value === 'number' && Number.isSafeInteger(value) ? value : 0;
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** The terms in what was signed, or is to be. */
export function termsOf(agreement: unknown): Terms {
  const said = members(agreement);
  const weights = members(said['weights']);
  const currency = text(said['currency']);
  return {
    project: text(said['project']),
    version: whole(said['version']),
    previous: text(said['previous']),
    members: list(said['members']).map((one) => {
      const { organisation, key, quality } = members(one);
      return { organisation: text(organisation), key: text(key), quality: whole(quality) };
    }),
    weights: MEASURES.map((measure) => ({ measure, weight: whole(weights[measure]) })),
    floor: whole(said['floor']),
    rounding: text(said['rounding']),
    currency,
    decimals: decimalsOf(currency),
    windowDays: whole(said['window_days']),
    payer: text(said['payer']),
    perJob: whole(said['per_job']),
    entered: said['entered'] === true,
    unscored: text(said['unscored']),
    kinds: list(said['kinds']).map(text),
  };
}

/** What share of the whole weight each measure has; those without one are left out. */
export function shareOfWeights(terms: Terms): { measure: string; share: number }[] {
  const total = terms.weights.reduce((sum, one) => sum + one.weight, 0);
  return terms.weights
    .filter((one) => one.weight > 0)
    .map((one) => ({ measure: one.measure, share: one.weight / total }));
}

/** A score of 10⁻⁴ steps with its four decimals; empty without one. */
export function inSteps(steps: number | null | undefined): string {
  if (steps === null || steps === undefined) return '';
  const size = Math.abs(steps);
  const rest = String(size % WHOLE).padStart(4, '0');
  return `${steps < 0 ? '−' : ''}${Math.floor(size / WHOLE)}.${rest}`;
}
