/** When the queue has to be asked for again: not at each step of a job that runs in its place. */
import type { Schemas } from '../../api/client';

type Line = Pick<Schemas['QueueLine'], 'job' | 'started'>;
type Row = Pick<Schemas['JobSummary'], 'id' | 'state'>;

const QUEUED = new Set(['approved', 'admitted', 'running', 'paused']);
const PLACED = new Set(['admitted', 'running']);

/** Whether what the stream says of a job leaves the queue as it is shown. */
export function unmoved(items: readonly Line[] | undefined, row: Row | undefined): boolean {
  if (!items || !row) return false;
  const line = items.find((one) => one.job === row.id);
  return line ? line.started && PLACED.has(row.state) : !QUEUED.has(row.state);
}
