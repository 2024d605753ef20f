/** The course of a draft: every version can be come back to. */
import { same, type Members } from './json';

export type Place = { x: number; y: number };
export type Version = { request: Members; places: Record<string, Place> };
export type History = {
  past: Version[];
  now: Version;
  next: Version[];
  /** What the last change was about: changes of one field in a row are one step back. */
  about: string;
};
const MOST = 100;

/** A draft that nobody has changed yet. */
export function begun(request: Members, places: Record<string, Place> = {}): History {
  return { past: [], now: { request, places }, next: [], about: '' };
}

/** After a change; several in a row of the same thing count as one. */
export function changed(history: History, now: Version, about = ''): History {
  if (same(now.request, history.now.request) && same(now.places, history.now.places)) return history;
  const joined = about !== '' && about === history.about && history.past.length > 0;
  const past = joined ? history.past : [...history.past, history.now].slice(-MOST);
  return { past, now, next: [], about };
}

/** One step back. */
export function undone(history: History): History {
  const last = history.past.at(-1);
  if (!last) return history;
  const next = [history.now, ...history.next];
  return { past: history.past.slice(0, -1), now: last, next, about: '' };
}

/** One step forward again. */
export function redone(history: History): History {
  const [now, ...next] = history.next;
  return now ? { past: [...history.past, history.now], now, next, about: '' } : history;
}
