import { Navigate, Outlet, useLocation } from 'react-router';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { useLiveState } from '../../shared/live';
import { Broken, Main, Skip } from '../../shared/shell/Main';
import css from '../../shared/shell/Shell.module.css';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { loginFor, useMe } from '../session';
import { Bell } from './Bell';
import { Navigation } from './Navigation';
import { ProjectChoice } from './ProjectChoice';
import { ProofDialog } from './ProofDialog';
import { Search } from './Search';
import { SessionEnded } from './SessionEnded';
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
  useStream();
  return (
    <div className={css['frame']}>
      <div className={css['side']}>
        <Navigation />
      </div>
      <header className={css['head']}>
        <Skip words={t('shell:skip')} />
        <ProjectChoice />
        <div className={css['gap']} />
        <Search />
        <Bell />
        <UserMenu />
      </header>
      <Main>
        <LinkLost />
        <Outlet />
      </Main>
      <SessionEnded />
      <ProofDialog />
    </div>
  );
}

/** Says that what is shown may be old, while the stream is lost. */
function LinkLost() {
  const { t } = useTexts('shell');
  if (useLiveState() !== 'lost') return null;
  return <Broken title={t('shell:lost')} hint={t('shell:lost.hint')} />;
}
