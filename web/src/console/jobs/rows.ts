/** Rows of a list of jobs as the stream changes them: put in place, not asked for again. */
import type { InfiniteData } from '@tanstack/react-query';
import type { Schemas } from '../../api/client';

export type Row = Schemas['JobSummary'];
export type Pages = InfiniteData<{ items: Row[]; next?: string }>;

/**
 * The pages with a newer row in its place; null where the list must be asked for again: the row is
 * not in it, or its state changed, by which it may belong there no longer.
 */
export function replaced(pages: Pages | undefined, row: Row): Pages | null {
  const old = pages?.pages.flatMap((page) => page.items).find((one) => one.id === row.id);
  if (!pages || old?.state !== row.state) return null;
  return {
    ...pages,
    pages: pages.pages.map((page) => ({
      ...page,
      items: page.items.map((one) => (one.id === row.id ? row : one)),
    })),
  };
}
