import type { ReactNode } from 'react';
import { Failed } from './Failed';
import { Loading } from './Loading';

type Query<T> = { data: T | undefined; error: unknown; isPending: boolean; refetch: () => unknown };
type Props<T> = {
  query: Query<T>;
  children: (data: T) => ReactNode;
  /** Shown instead, where the answer holds nothing. */
  empty?: { when: (data: T) => boolean; show: ReactNode };
};

/** An answer in whichever state it is: awaited, failed, not permitted, empty, or there. */
export function Answer<T>({ query, children, empty }: Props<T>) {
  if (query.data !== undefined) {
    if (empty?.when(query.data)) return empty.show;
    return children(query.data);
  }
  if (query.isPending) return <Loading />;
  return <Failed error={query.error} retry={() => void query.refetch()} />;
}
