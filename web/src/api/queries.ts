/** How answers are kept: nothing is asked again by itself; the live stream says what changed. */
import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { asProblem } from './problem';

let ended: () => void = () => undefined;

/** Says who is told when the session has ended. */
export function onSessionEnd(tell: () => void): void {
  ended = tell;
}

function look(error: unknown): void {
  if (asProblem(error).sessionEnded) ended();
}

/** Makes the cache of a page. */
export function queryClient(): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({ onError: look }),
    mutationCache: new MutationCache({ onError: look }),
    defaultOptions: {
      queries: {
        staleTime: 10_000,
        refetchOnWindowFocus: false,
        refetchOnReconnect: false,
        retry: (count, error) => count < 2 && asProblem(error).unreachable,
        networkMode: 'always',
      },
      mutations: { retry: false, networkMode: 'always' },
    },
  });
}

const renewals = new Set<() => void>();

/** Calls `watch` when whoever worked here has logged in again; returns what ends that. */
export function watchRenewal(watch: () => void): () => void {
  renewals.add(watch);
  return () => void renewals.delete(watch);
}

/** Says that the session was renewed: what failed for its end is asked for again. */
export function sessionRenewed(): void {
  for (const one of renewals) one();
}

/** Forgets what is known of some paths of an API; what is shown is asked for again. */
export function stale(queries: QueryClient, ...paths: string[]): void {
  for (const path of paths) void queries.invalidateQueries({ queryKey: ['get', path] });
}
