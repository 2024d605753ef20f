/** How answers are kept: nothing is asked again by itself; the live stream says what changed. */
import {
  MutationCache,
  QueryCache,
  QueryClient,
  type InvalidateOptions,
  type InvalidateQueryFilters,
  type Query,
  type QueryClientConfig,
  type QueryKey,
} from '@tanstack/react-query';
import { asProblem } from './problem';

let ended: () => void = () => undefined;

/** Says who is told when the session has ended. */
export function onSessionEnd(tell: () => void): void {
  ended = tell;
}

function look(error: unknown): void {
  if (asProblem(error).sessionEnded) ended();
}

/**
 * A cache in which no news is lost: an answer that is on its way may be older than what comes to be
 * known meanwhile, and the library would take it for the newest. What was put in its place stays
 * until it was asked for anew; a first answer is shown and then asked for once more.
 */
class Cache extends QueryClient {
  private readonly awaited = new Set<Query>();

  constructor(config: QueryClientConfig) {
    super(config);
    this.getQueryCache().subscribe((event) => {
      if (event.type !== 'updated' || event.query.state.fetchStatus !== 'fetching') return;
      const { action, query } = event;
      if (action.type === 'success' && action.manual) this.again(query);
    });
  }

  override invalidateQueries<TKey extends QueryKey = QueryKey>(
    filters?: InvalidateQueryFilters<TKey>,
    options?: InvalidateOptions,
  ): Promise<void> {
    const underWay = this.getQueryCache().findAll({ ...filters, fetchStatus: 'fetching' });
    for (const one of underWay) if (one.state.data === undefined) this.askAfter(one);
    return super.invalidateQueries(filters, options);
  }

  private askAfter(query: Query): void {
    if (this.awaited.has(query)) return;
    this.awaited.add(query);
    const come = () => {
      this.awaited.delete(query);
      this.again(query);
    };
    query.promise?.then(come, come);
  }

  private again({ queryKey }: Query): void {
    void this.invalidateQueries({ queryKey, exact: true });
  }
}

/** Makes the cache of a page. */
export function queryClient(): QueryClient {
  return new Cache({
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
