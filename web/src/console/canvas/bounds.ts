/**
 * Bounds of what others wrote: a file, or what was copied elsewhere. YAML's aliases let a few lines
 * stand for millions of values ("billion laughs"), so they are counted as often as they are read.
 */
import { isMembers, type Json, type Members } from './json';

/** Bytes of a file that is read at all. */
export const LARGEST = 1_000_000;
const MOST_VALUES = 50_000;
const DEEPEST = 40;
/** Steps that are drawn; the centre takes fewer. */
export const MOST_DRAWN = 64;

/** Why a file is no draft; `line` where its text cannot be read. */
export class Unfit extends Error {
  constructor(
    readonly why: 'large' | 'text' | 'values' | 'steps' | 'job',
    readonly facts: Record<string, number> = {},
  ) {
    super(why);
  }
}

function counted(value: Json, left: number, depth: number): number {
  if (typeof value !== 'object' || value === null) return left - 1;
  if (depth > DEEPEST) throw new Unfit('values');
  let now = left - 1;
  for (const one of Array.isArray(value) ? value : Object.values(value)) {
    if (now <= 0) throw new Unfit('values');
    now = counted(one, now, depth + 1);
  }
  return now;
}

/** A value that is a request and can be drawn; anything else is refused, with the reason. */
export function fit(value: Json): Members {
  if (!isMembers(value) || typeof value['kind'] !== 'string') throw new Unfit('job');
  counted(value, MOST_VALUES, 0);
  const { steps } = value;
  if (Array.isArray(steps) && steps.length > MOST_DRAWN) {
    throw new Unfit('steps', { count: steps.length });
  }
  return value;
}
