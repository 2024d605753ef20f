import { useQueryClient } from '@tanstack/react-query';
import { Alert } from 'antd';
import { useCallback, useEffect, useRef, useState } from 'react';
import { Link, Navigate, Outlet, useLocation } from 'react-router';
import { onSessionEnd } from '../../api/queries';
import { useTexts } from '../../shared/i18n';
import { useLiveState } from '../../shared/live';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { loginFor } from '../../shared/ways';
import { forgetSession, useAnswersInOwnLanguage, useSession, type Session } from '../session';
import { Navigation } from './Navigation';
import { SessionEnded } from './SessionEnded';
import css from './Shell.module.css';
import { useStream } from './stream';
import { UserMenu } from './UserMenu';

/** The frame around every page, for whoever is logged in at this agent. */
export default function Shell() {
  const session = useSession();
  const { pathname, search } = useLocation();
  const [known, know] = useState<Session | null>(null);
  useAnswersInOwnLanguage();
  const now = session.data?.account ? session.data : null;
  useEffect(() => {
    if (!now) return;
    // Somebody else logged in by another tab: nothing of the one before may be seen.
    if (known && known.account?.row.id !== now.account?.row.id) window.location.reload();
    know(now);
  }, [now, known]);
  const shown = now ?? known;
  if (shown) return <Framed session={shown} out={Boolean(session.data) && !now} />;
  if (session.isPending) return <Loading />;
  if (session.data) return <Navigate to={loginFor(pathname + search)} replace />;
  return <Failed error={session.error} retry={() => void session.refetch()} />;
}

function Framed({ session, out }: { session: Session; out: boolean }) {
  const { t } = useTexts('owner');
  const queries = useQueryClient();
  const main = useFocusOnMain();
  const { pathname } = useLocation();
  const [ended, setEnded] = useState(false);
  const end = useCallback(() => {
    setEnded(true);
    forgetSession(queries);
  }, [queries]);
  useEffect(() => {
    onSessionEnd(end);
    return () => onSessionEnd(() => undefined);
  }, [end]);
  const standing = useStream(ended || out ? '' : session.form, end);
  const first = session.account?.initial_password && pathname !== '/account';
  return (
    <div className={css['frame']}>
      <header className={css['head']}>
        <a href="#main" className="only-heard">
          {t('owner:skip')}
        </a>
        <Link to="/" className={css['own']}>
          {t('owner:own', { organisation: session.organisation })}
        </Link>
        <div className={css['gap']} />
        <UserMenu name={session.account?.row.name ?? ''} />
      </header>
      <div className={css['side']}>
        <Navigation waiting={standing.waiting} />
      </div>
      <main id="main" ref={main} tabIndex={-1} className={css['main']}>
        <Troubles link={standing.link} />
        {first ? <Navigate to="/account" replace /> : <Outlet />}
      </main>
      <SessionEnded open={ended || out} session={session} close={() => setEnded(false)} />
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

/** Says which link is broken: to this page's service, to the agent, or from there to the centre. */
function Troubles({ link }: { link: string }) {
  const { t } = useTexts('owner');
  const lost = useLiveState() === 'lost';
  if (!lost && link === 'connected') return null;
  const what = lost ? 'page' : link === 'away' ? 'agent' : 'centre';
  return (
    <Alert
      className={css['banner'] ?? ''}
      type="warning"
      showIcon
      title={t(`owner:lost.${what}`)}
      description={t(`owner:losthint.${what}`)}
    />
  );
}
