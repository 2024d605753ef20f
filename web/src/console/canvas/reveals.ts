/** What the centre says of a draft: who learns what, of all of it or of one step. */
import type { Row } from './Learns';
import type { Checked } from './useCheck';

/** The rows that the centre says of the draft. */
export function rowsOf(answer: Checked | null): Row[] {
  return (answer?.preview?.learns ?? []).map((one) => {
    const steps: unknown = one['steps'];
    return {
      who: String(one['who'] ?? ''),
      sees: String(one['sees'] ?? ''),
      why: String(one['why'] ?? ''),
      ...(Array.isArray(steps) ? { steps: steps.map(String) } : {}),
    };
  });
}

/** Those of one step, under its own protection; of several steps what they tell together, too. */
export function rowsOfStep(answer: Checked | null, id: string): Row[] {
  return rowsOf(answer)
    .filter((one) => one.steps?.includes(id))
    .map(({ steps = [], ...one }) => (steps.length > 1 ? { ...one, steps } : one));
}
