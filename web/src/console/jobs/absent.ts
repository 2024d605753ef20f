/** Which parties of a job have no link to the centre, as its progress says, and since when. */
import { over, partiesOf } from './words';
import type { Lane } from './events';

export const ENCLAVE = 'enclave';
/** `server`: another one that it dialled last, or empty; `since`: unix seconds, 0 for unknown. */
export type Absent = { party: string; server: string; since: number };

type Told = { state: string; spec: Record<string, unknown>; progress?: Record<string, unknown> };

function members(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** The parties of a job without a link; nobody once it has ended. */
export function absentOf(job: Told): Absent[] {
  if (over(job.state)) return [];
  const since = members(job.progress?.['absent_since']);
  return Object.entries(members(job.progress?.['absent'])).map(([party, server]) => ({
    party,
    server: typeof server === 'string' ? server : '',
    since: typeof since[party] === 'number' ? since[party] : 0,
  }));
}

/** The lanes, of which those of parties without a link say so. */
export function withAbsent(lanes: readonly Lane[], absent: readonly Absent[]): Lane[] {
  return lanes.map((lane) => {
    const away = absent.find((one) => one.party === lane.party);
    return away ? { ...lane, state: 'absent', at: away.since, reason: '' } : lane;
  });
}

/** The lanes, of which those of owners who have approved say so while others are still asked. */
export function withApproved(lanes: readonly Lane[], job: Told): Lane[] {
  const approved = over(job.state) ? [] : job.progress?.['approved'];
  if (!Array.isArray(approved)) return [...lanes];
  return lanes.map((lane) =>
    lane.state === 'asked' && approved.includes(lane.party) ? { ...lane, state: 'approved' } : lane,
  );
}

/** Whether a link that came or went concerns a job that has not ended. */
export function concerns(job: Told | undefined, party: unknown): boolean {
  if (!job || over(job.state) || typeof party !== 'string') return false;
  return party === ENCLAVE || partiesOf(job.spec).includes(party);
}

/** Seconds that a step of the job waits at most for a party; 0 where each step has its own. */
export function patienceOf(spec: Record<string, unknown>): number {
  const said = members(spec['limits'])['patience_seconds'] ?? spec['patience_seconds'];
  return typeof said === 'number' ? said : 0;
}
