import { Card } from 'antd';
import { useId, type ReactNode } from 'react';
import css from './parts.module.css';

type Props = { title: string; extra?: ReactNode; children: ReactNode };

/** A part of a page, under a heading. */
export function Section({ title, extra, children }: Props) {
  const id = useId();
  return (
    <section aria-labelledby={id}>
      <Card
        size="small"
        extra={extra}
        title={
          <h2 id={id} className={css['heading']}>
            {title}
          </h2>
        }
      >
        {children}
      </Card>
    </section>
  );
}
