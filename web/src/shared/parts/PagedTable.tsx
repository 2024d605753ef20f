import { useInfiniteQuery } from '@tanstack/react-query';
import { Button, Table, type TableColumnsType } from 'antd';
import { useCallback, useLayoutEffect, useRef, useState, type ReactNode, type UIEvent } from 'react';
import { useTexts } from '../i18n';
import { Failed } from '../states/Failed';
import { Loading } from '../states/Loading';
import css from './PagedTable.module.css';

/** A page of a list of the API. */
export type Listed<T> = { items: T[]; next?: string };

type Props<T extends object> = {
  /** What the list is called, for those who do not see it. */
  label: string;
  /** Names the list in the cache: `['jobs', filters]`. */
  queryKey: readonly unknown[];
  /** Asks for the page after a cursor; the empty one is the first. */
  load: (cursor: string) => Promise<Listed<T>>;
  columns: TableColumnsType<T>;
  rowKey: (row: T) => string;
  /** Shown where there is nothing. */
  empty: ReactNode;
};

const NEAR = 400;
const LEAST = 240;

/** The height that is left for the rows on the screen, in pixels. */
function useRoom(): [React.RefObject<HTMLDivElement | null>, number] {
  const place = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState(LEAST);
  useLayoutEffect(() => {
    const measure = () => {
      const top = place.current?.getBoundingClientRect().top ?? 0;
      setRoom(Math.max(LEAST, Math.floor(window.innerHeight - top - 120)));
    };
    measure();
    window.addEventListener('resize', measure);
    return () => window.removeEventListener('resize', measure);
  }, []);
  return [place, room];
}

/** A list of any length: rows are drawn as they are scrolled to, and pages are asked for then. */
export function PagedTable<T extends object>(props: Props<T>) {
  const { label, queryKey, load, columns, rowKey, empty } = props;
  const { t } = useTexts();
  const [place, room] = useRoom();
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam }) => load(pageParam),
    initialPageParam: '',
    getNextPageParam: (page: Listed<T>) => page.next || undefined,
  });
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  const scrolled = (event: UIEvent<HTMLDivElement>) => {
    const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
    if (scrollHeight - scrollTop - clientHeight < NEAR) more();
  };

  if (query.isPending) return <Loading />;
  if (query.data === undefined) {
    return <Failed error={query.error} retry={() => void query.refetch()} />;
  }
  const rows = query.data.pages.flatMap((page) => page.items);
  if (!rows.length && !hasNextPage) return empty;
  return (
    <section ref={place} aria-label={label}>
      <Table<T>
        virtual
        size="small"
        columns={columns}
        dataSource={rows}
        rowKey={rowKey}
        pagination={false}
        scroll={{ y: room, x: 720 }}
        onScroll={scrolled}
      />
      <p className={css['foot']} aria-live="polite">
        {t(hasNextPage ? 'common:rows.more' : 'common:rows.all', { count: rows.length })}
        {hasNextPage ? (
          <Button type="link" loading={isFetchingNextPage} onClick={more}>
            {t('common:rows.load')}
          </Button>
        ) : null}
        {query.isFetchNextPageError ? <Failed error={query.error} retry={more} /> : null}
      </p>
    </section>
  );
}
