import { Alert } from 'antd';
import { useEffect, useRef, type ReactNode } from 'react';
import { useLocation } from 'react-router';
import css from './Shell.module.css';

/** After a step to another page the keyboard goes on in it, not at the end of the old one. */
function useFocusOnMain() {
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const before = useRef(pathname);
  useEffect(() => {
    if (before.current === pathname) return;
    before.current = pathname;
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [pathname]);
  return main;
}

/** Leads the keyboard past the frame. */
export function Skip({ words }: { words: string }) {
  return (
    <a href="#main" className="only-heard">
      {words}
    </a>
  );
}

/** Where the pages are shown. */
export function Main({ children }: { children: ReactNode }) {
  const main = useFocusOnMain();
  return (
    <main id="main" ref={main} tabIndex={-1} className={css['main']}>
      {children}
    </main>
  );
}

/** Says above the page that a link is broken, and that what is shown may be old. */
export function Broken({ title, hint }: { title: string; hint: string }) {
  return (
    <Alert
      className={css['banner'] ?? ''}
      type="warning"
      showIcon
      title={title}
      description={hint}
    />
  );
}
