import { useEffect, useRef } from 'react';
import { Alert } from 'antd';
import { Navigate, Outlet, useLocation } from 'react-router';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { useLiveState } from '../../shared/live';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { loginFor, useMe } from '../session';
import { Bell } from './Bell';
import { Navigation } from './Navigation';
import { ProjectChoice } from './ProjectChoice';
import { ProofDialog } from './ProofDialog';
import { Search } from './Search';
import { SessionEnded } from './SessionEnded';
import css from './Shell.module.css';
import { useStream } from './stream';
import { UserMenu } from './UserMenu';

/** The frame around every page, for whoever is logged in. */
export default function Shell() {
  const me = useMe();
  const { pathname, search } = useLocation();
  if (me.data) return <Framed />;
  if (me.isPending) return <Loading />;
  if (asProblem(me.error).sessionEnded) {
    return <Navigate to={loginFor(pathname + search)} replace />;
  }
  return <Failed error={me.error} retry={() => void me.refetch()} />;
}

function Framed() {
  const { t } = useTexts('shell');
  const main = useFocusOnMain();
  useStream();
  return (
    <div className={css['frame']}>
      <div className={css['side']}>
        <Navigation />
      </div>
      <header className={css['head']}>
        <a href="#main" className="only-heard">
          {t('shell:skip')}
        </a>
        <ProjectChoice />
        <div className={css['gap']} />
        <Search />
        <Bell />
        <UserMenu />
      </header>
      <main id="main" ref={main} tabIndex={-1} className={css['main']}>
        <LinkLost />
        <Outlet />
      </main>
      <SessionEnded />
      <ProofDialog />
    </div>
  );
}

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

/** Says that what is shown may be old, while the stream is lost. */
function LinkLost() {
  const { t } = useTexts('shell');
  if (useLiveState() !== 'lost') return null;
  return (
    <Alert
      className={css['banner'] ?? ''}
      type="warning"
      showIcon
      title={t('shell:lost')}
      description={t('shell:lost.hint')}
    />
  );
}
