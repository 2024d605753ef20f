import { Empty as AntEmpty } from 'antd';
import type { ReactNode } from 'react';

type Props = { title: string; next?: ReactNode; action?: ReactNode };

/** Nothing is here yet: what to do first, and the link that does it. */
export function Empty({ title, next, action }: Props) {
  return (
    <AntEmpty
      image={AntEmpty.PRESENTED_IMAGE_SIMPLE}
      description={
        <>
          <strong>{title}</strong>
          {next ? <p>{next}</p> : null}
        </>
      }
    >
      {action}
    </AntEmpty>
  );
}
