/** States and kinds as filters offer them, and what an error says in one line. */
import type { Schemas } from '../../api/client';

export const STATES: readonly Schemas['JobState'][] = [
  'proposed',
  'approved',
  'admitted',
  'running',
  'paused',
  'succeeded',
  'failed',
  'cancelled',
];
export const KINDS = [
  'training',
  'statistics',
  'preparation',
  'evaluation',
  'prediction',
  'psi',
  'mpc',
  'sweep',
  'timetable',
  'pipeline',
] as const;
const OVER = new Set(['succeeded', 'failed', 'cancelled']);

/** Whether a job has ended. */
export function over(state: string): boolean {
  return OVER.has(state);
}

/** The message of a stored error; empty where there is none. */
export function textOfError(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const { message } = error as { message?: unknown };
  return typeof message === 'string' ? message : '';
}

/** The hint of a stored error; empty where there is none. */
export function hintOfError(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const { hint } = error as { hint?: unknown };
  return typeof hint === 'string' ? hint : '';
}

/** The parties that a spec's roster lists. */
export function partiesOf(spec: Record<string, unknown>): string[] {
  const { roster } = spec;
  if (!Array.isArray(roster)) return [];
  return roster.flatMap((one: unknown) => {
    const party = typeof one === 'object' && one !== null ? (one as { party?: unknown }).party : '';
    return typeof party === 'string' && party ? [party] : [];
  });
}
