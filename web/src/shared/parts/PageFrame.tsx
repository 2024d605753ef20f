import { useEffect, type ReactNode } from 'react';
import css from './PageFrame.module.css';

type Props = { title: string; lead?: ReactNode; extra?: ReactNode; children: ReactNode };

/** Names the page, in its heading and in the browser's tab. */
export function PageFrame({ title, lead, extra, children }: Props) {
  useEffect(() => {
    document.title = `${title} · SecureFlow`;
  }, [title]);
  return (
    <div className={css['page']}>
      <header className={css['head']}>
        <div>
          <h1 className={css['title']}>{title}</h1>
          {lead ? <p className={css['lead']}>{lead}</p> : null}
        </div>
        {extra ? <div className={css['extra']}>{extra}</div> : null}
      </header>
      {children}
    </div>
  );
}
