/** The agent that did not answer and does again: what it could not do or show then is no failure now. */
import { useEffect } from 'react';
import type { QueryClient } from '@tanstack/react-query';
import { asProblem } from '../api/problem';

/** Codes that say that nothing was done, since nobody was there to do it. */
const GONE = new Set(['agent_not_running']);
/** Milliseconds between questions of a page that has no stream yet. */
const AGAIN = 2000;

const watchers = new Set<() => void>();

/** Says that the agent answers again: everything that is shown is asked for anew. */
export function agentIsBack(queries: QueryClient): void {
  for (const one of watchers) one();
  void queries.invalidateQueries();
}

/** Whether an error says no more than that the agent was not there. */
export function wasAway(error: unknown): boolean {
  return GONE.has(asProblem(error).code);
}

/** After how many milliseconds what failed is asked again by itself; never, if it failed otherwise. */
export function againAfter(error: unknown): number | false {
  return error && (wasAway(error) || asProblem(error).unreachable) ? AGAIN : false;
}

/** Calls `forget` once the agent is back, if an error says that it was away; returns what ends that. */
export function forgottenOnReturn(error: unknown, forget: () => void): () => void {
  if (!error || !wasAway(error)) return () => undefined;
  watchers.add(forget);
  return () => void watchers.delete(forget);
}

/** Forgets a deed that failed for an agent that was away, once it is back. */
export function useForgottenOnReturn(error: unknown, forget: () => void): void {
  useEffect(() => forgottenOnReturn(error, forget), [error, forget]);
}
