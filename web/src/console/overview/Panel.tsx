import { Card } from 'antd';
import type { ReactNode } from 'react';

type Props = { title: string; extra?: ReactNode; children: ReactNode };

/** One question of the overview, and its answer. */
export function Panel({ title, extra, children }: Props) {
  return (
    <section aria-label={title}>
      <Card title={<h2 style={{ margin: 0, fontSize: 16 }}>{title}</h2>} extra={extra}>
        {children}
      </Card>
    </section>
  );
}
