/** The draft of a person: its course, what it began with, and that it is kept in this browser. */
import { useCallback, useEffect, useState } from 'react';
import { begun, changed, redone, undone, type History, type Place } from './history';
import { isMembers, type Members } from './json';
import { load, save, type Kept } from './store';

/** What a draft begins with: nothing, a template, or an earlier job. */
export type Start = { from: string; request: Members } | null;
type State = { history: History; base: Members | null; from: string; kept: Kept[] };

function opened(person: string, start: Start, project: string): State {
  const stored = load(person);
  if (start && stored?.from !== start.from) {
    const before = begun(stored?.request ?? {}, stored?.places);
    const history = stored ? changed(before, { request: start.request, places: {} }) : begun(start.request);
    return { history, base: start.request, from: start.from, kept: stored?.kept ?? [] };
  }
  if (stored) {
    const { base, from, kept } = stored;
    return { history: begun(stored.request, stored.places), base, from, kept };
  }
  return { history: begun(project ? { project } : {}), base: null, from: '', kept: [] };
}

/** The draft, and the ways to change it. */
export function useDraft(person: string, start: Start, project: string) {
  const [state, keep] = useState<State>(() => opened(person, start, project));
  const { history, base, from, kept } = state;
  useEffect(() => {
    save(person, { ...history.now, base, from, kept });
  }, [person, history, base, from, kept]);
  const turn = useCallback(
    (change: (history: History) => History) =>
      keep((now) => ({ ...now, history: change(now.history) })),
    [],
  );
  const become = useCallback(
    (request: Members, about = '') =>
      turn((now) => changed(now, { request, places: now.now.places }, about)),
    [turn],
  );
  const move = useCallback(
    (step: string, to: Place) =>
      turn((now) => {
        const places = { ...now.now.places, [step]: to };
        return changed(now, { request: now.now.request, places }, `move ${step}`);
      }),
    [turn],
  );
  const begin = useCallback(
    (request: Members, source: string, places: Record<string, Place> = {}) =>
      keep((now) => ({
        ...now,
        history: changed(now.history, { request, places }),
        base: Object.keys(request).length && source ? request : null,
        from: source,
      })),
    [],
  );
  const keepVersion = useCallback(
    (at: number) =>
      keep((now) => ({ ...now, kept: [...now.kept, { at, request: now.history.now.request }] })),
    [],
  );
  return {
    ...history.now,
    past: history.past,
    next: history.next,
    base: isMembers(base) ? base : null,
    from,
    kept,
    become,
    move,
    begin,
    keepVersion,
    undo: useCallback(() => turn(undone), [turn]),
    redo: useCallback(() => turn(redone), [turn]),
  };
}
