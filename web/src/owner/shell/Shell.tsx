import { useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useState } from 'react';
import { Link, Navigate, Outlet, useLocation } from 'react-router';
import { onSessionEnd } from '../../api/queries';
import { useTexts } from '../../shared/i18n';
import { useLiveState } from '../../shared/live';
import { Broken, Main, Skip } from '../../shared/shell/Main';
import frame from '../../shared/shell/Shell.module.css';
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
    <div className={`${frame['frame']} ${css['frame']}`}>
      <header className={`${frame['head']} ${css['head']}`}>
        <Skip words={t('owner:skip')} />
        <Link to="/" className={css['own']}>
          {t('owner:own', { organisation: session.organisation })}
        </Link>
        <div className={frame['gap']} />
        <UserMenu name={session.account?.row.name ?? ''} />
      </header>
      <div className={frame['side']}>
        <Navigation waiting={standing.waiting} />
      </div>
      <Main>
        <Troubles link={standing.link} />
        {first ? <Navigate to="/account" replace /> : <Outlet />}
      </Main>
      <SessionEnded open={ended || out} session={session} close={() => setEnded(false)} />
    </div>
  );
}

/** Says which link is broken: to this page's service, to the agent, or from there to the centre. */
function Troubles({ link }: { link: string }) {
  const { t } = useTexts('owner');
  const lost = useLiveState() === 'lost';
  if (!lost && link === 'connected') return null;
  const what = lost ? 'page' : link === 'away' ? 'agent' : 'centre';
  return <Broken title={t(`owner:lost.${what}`)} hint={t(`owner:losthint.${what}`)} />;
}
