/**
 * Where a draft is kept: in this browser only, for each person, so that it survives a reload and a
 * session that has ended. Nothing of it is sent anywhere until it is checked or submitted.
 */
import { isMembers, type Members } from './json';
import type { Place } from './history';

/** A version that somebody kept. */
export type Kept = { at: number; request: Members };
export type Stored = {
  request: Members;
  places: Record<string, Place>;
  /** What it began with: a template or an earlier job. */
  base: Members | null;
  from: string;
  kept: Kept[];
};
const KEY = 'secureflow.draft.';
const MOST_KEPT = 20;

function storage(): Storage | null {
  try {
    return typeof localStorage === 'undefined' ? null : localStorage;
  } catch {
    return null; // the browser forbids it: the draft lasts as long as the tab
  }
}

/** Reads what was kept; whatever is not understood counts as nothing. */
export function parsed(text: string | null): Stored | null {
  try {
    const value: unknown = JSON.parse(text ?? 'null');
    if (!isMembers(value) || !isMembers(value['request'])) return null;
    const { request, places, base, from, kept } = value;
    return {
      request,
      places: isMembers(places) ? placesIn(places) : {},
      base: isMembers(base) ? base : null,
      from: typeof from === 'string' ? from : '',
      kept: (Array.isArray(kept) ? kept : []).flatMap((one) =>
        isMembers(one) && isMembers(one['request']) && typeof one['at'] === 'number'
          ? [{ at: one['at'], request: one['request'] }]
          : [],
      ),
    };
  } catch {
    return null;
  }
}

function placesIn(value: Members): Record<string, Place> {
  const found = Object.entries(value).flatMap(([name, one]): [string, Place][] => {
    const { x, y } = isMembers(one) ? one : {};
    return typeof x === 'number' && typeof y === 'number' ? [[name, { x, y }]] : [];
  });
  return Object.fromEntries(found);
}

/** The draft of a person. */
export function load(person: string): Stored | null {
  return parsed(storage()?.getItem(KEY + person) ?? null);
}

/** Keeps the draft of a person; one that does not fit is not kept. */
export function save(person: string, draft: Stored): void {
  try {
    const kept = draft.kept.slice(-MOST_KEPT);
    storage()?.setItem(KEY + person, JSON.stringify({ ...draft, kept }));
  } catch {
    // no room: the draft lasts as long as the tab
  }
}

/** Forgets it, once it is submitted. */
export function forget(person: string): void {
  storage()?.removeItem(KEY + person);
}
