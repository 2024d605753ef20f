/** The terms of an agreement as a form has them, and as they are sent. */
import type { Schemas } from '../../api/client';
import type { Terms } from '../../shared/revenue/agreement';

export type Wanted = Schemas['AgreementTerms'];
export const MEASURES = ['scores', 'rows', 'participation'] as const;
export const UNSCORED = ['left_out', 'other_measures', 'equal'] as const;
/** The bounds that the centre has (`engines.revenue.agreement`). */
export const MOST = { weight: 1000, days: 365, amount: 10 ** 15, quality: 100 };

export type Drafted = {
  scores: number;
  rows: number;
  participation: number;
  /** In per cent, as people say it; sent as basis points. */
  floor: number;
  rounding: string;
  payer: string;
  currency: string;
  windowDays: number;
  perJob: number;
  entered: boolean;
  unscored: (typeof UNSCORED)[number];
  kinds: string[];
  quality: Record<string, number>;
};

/** What a form begins with: the terms that stand, else plain ones with this payer. */
export function begun(standing: Terms | null, payer: string, members: string[]): Drafted {
  const weight = (name: string, otherwise: number) =>
    standing ? (standing.weights.find((one) => one.measure === name)?.weight ?? 0) : otherwise;
  const known = UNSCORED.find((one) => one === standing?.unscored);
  const agreed = new Map(standing?.members.map((one) => [one.organisation, one.quality]));
  return {
    scores: weight('scores', 1),
    rows: weight('rows', 0),
    participation: weight('participation', 0),
    floor: (standing?.floor ?? 0) / 100,
    rounding: standing?.rounding ?? payer,
    payer: standing?.payer ?? payer,
    currency: standing?.currency ?? 'EUR',
    windowDays: standing?.windowDays ?? 30,
    perJob: standing?.perJob ?? 0,
    entered: standing?.entered ?? true,
    unscored: known ?? 'left_out',
    kinds: standing?.kinds ?? [],
    quality: Object.fromEntries(members.map((one) => [one, agreed.get(one) ?? MOST.quality])),
  };
}

/** The terms as they are sent; a member whose data counts in full is not named. */
export function sent(drafted: Drafted): Wanted {
  const { scores, rows, participation, floor, windowDays, perJob, quality, ...rest } = drafted;
  const less = Object.entries(quality).filter(([, percent]) => percent !== MOST.quality);
  return {
    ...rest,
    weights: { scores, rows, participation },
    floor: Math.round(floor * 100),
    window_days: windowDays,
    per_job: perJob,
    quality: Object.fromEntries(less),
  };
}

/** The most that a floor may be among so many members, in per cent: no more than all is shared. */
export function highestFloor(members: number): number {
  return Math.floor(10_000 / Math.max(1, members)) / 100;
}
