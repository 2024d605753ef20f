import { Table, type TableProps, type TableRef } from 'antd';
import { useEffect, useRef } from 'react';

const SCROLLS = '.ant-table-content, .ant-table-body';

/** What is wider or higher than its place can be scrolled with the keyboard too. */
function reach(table: HTMLElement): void {
  for (const one of table.querySelectorAll<HTMLElement>(SCROLLS)) {
    const more = one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight;
    if (more) one.tabIndex = 0;
    else one.removeAttribute('tabindex');
  }
}

/** A table as wide as what it holds: in a narrow place it is scrolled, not the page. */
export function WideTable<T extends object>(props: TableProps<T>) {
  const table = useRef<TableRef>(null);
  useEffect(() => {
    const drawn = table.current?.nativeElement;
    if (!drawn) return undefined;
    reach(drawn);
    const resized = new ResizeObserver(() => reach(drawn));
    resized.observe(drawn);
    return () => resized.disconnect();
  });
  return <Table<T> ref={table} scroll={{ x: 'max-content' }} {...props} />;
}
