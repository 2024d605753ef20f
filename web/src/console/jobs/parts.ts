/** Parts of a job that starts others: points of a sweep, runs of a timetable, steps of a pipeline. */
import type { JobEvent } from './events';
import { over } from './words';

export type PartRow = {
  number: number;
  /** Where it stands: of a step its place, which its attempts share. */
  place: number;
  label: string;
  job: string;
  state: string;
  at: number;
  error: string;
  /** How many it took; 0 of what has none, or none yet. */
  rounds: number;
  metrics: Record<string, number>;
};

/** Event → the member that numbers its part; of a pipeline `step` is a name. */
const NUMBERS: Record<string, string> = { point: 'point', run: 'run', step: 'number' };

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function label(data: Record<string, unknown>): string {
  const { sets } = data;
  if (typeof sets === 'object' && sets !== null) {
    return Object.entries(sets)
      .map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
      .join(', ');
  }
  return text(data['step']) || text(data['id']) || text(data['name']);
}

/** The rows of a job's parts by their numbers, each as it was told last. */
export function partsOf(events: readonly JobEvent[]): PartRow[] {
  const rows = new Map<number, PartRow>();
  for (const { kind, data, at } of events) {
    const name = NUMBERS[kind];
    const number = name ? data[name] : undefined;
    if (typeof number !== 'number') continue;
    const error = data['error'] as { message?: unknown } | undefined;
    const metrics = Object.entries((data['metrics'] as object | undefined) ?? {}).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number',
    );
    rows.set(number, {
      number,
      place: typeof data['place'] === 'number' ? data['place'] : number,
      label: label(data) || rows.get(number)?.label || '',
      // One that was never started has none.
      job: data['job'] === '' ? '' : text(data['job']) || text(data['part']) || rows.get(number)?.job || '',
      state: text(data['state']),
      at: typeof data['at'] === 'number' ? data['at'] : at,
      error: text(error?.message) || text(data['reason']),
      rounds: typeof data['rounds'] === 'number' ? data['rounds'] : 0,
      metrics: Object.fromEntries(metrics),
    });
  }
  return [...rows.values()].sort((a, b) => a.number - b.number);
}

type Whole = { kind: string; state: string; spec: Record<string, unknown> };

/** The rows with those of a pipeline's steps that have not begun; of an ended one nothing waits. */
export function withWaiting(rows: readonly PartRow[], job: Whole): PartRow[] {
  const { steps } = job.spec;
  if (job.kind !== 'pipeline' || over(job.state) || !Array.isArray(steps)) return [...rows];
  const begun = new Set(rows.map((one) => one.label));
  const last = rows.at(-1)?.number ?? 0;
  const waiting = steps.flatMap((step: unknown, at): PartRow[] => {
    const label = text((step as { id?: unknown } | null)?.id);
    if (!label || begun.has(label)) return [];
    const number = last + steps.length + at;
    const none = { job: '', at: 0, error: '', rounds: 0, metrics: {} };
    return [{ ...none, number, place: at + 1, label, state: 'waits' }];
  });
  return [...rows, ...waiting];
}
