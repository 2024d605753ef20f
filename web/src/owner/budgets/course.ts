/** The course of a budget as the steps of a chart. */
import type { Schemas } from '../api';

export type Point = Schemas['Point'];
export type Steps = { times: number[]; spent: number[]; committed: number[]; limit: number[] };

/** One step for each event, the oldest first; an event without a time stands with the one before. */
export function stepsOf(course: readonly Point[]): Steps {
  const steps: Steps = { times: [], spent: [], committed: [], limit: [] };
  let last = course.find((one) => one.at > 0)?.at ?? 0;
  for (const point of course) {
    last = point.at > 0 ? Math.max(point.at, last) : last;
    steps.times.push(last * 1000);
    steps.spent.push(point.spent);
    steps.committed.push(point.committed);
    steps.limit.push(point.limit);
  }
  return steps;
}

/** Pairs as a chart takes them. */
export function paired(times: readonly number[], values: readonly number[]): [number, number][] {
  return times.map((time, place) => [time, values[place] ?? 0]);
}
