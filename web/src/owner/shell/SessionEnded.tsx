import { useQueryClient } from '@tanstack/react-query';
import { Modal } from 'antd';
import { useLocation } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { focusFirst } from '../../shared/parts/first';
import { LoginForm } from '../login/LoginForm';
import { Providers } from '../login/Providers';
import { adopt, useSession, type Session } from '../session';

type Props = { open: boolean; session: Session; close: () => void };

/** The session ended in mid-work: asks for the login over the page, so that nothing is lost. */
export function SessionEnded({ open, session, close }: Props) {
  const { t } = useTexts('login');
  const queries = useQueryClient();
  const { pathname, search } = useLocation();
  const providers = useSession().data?.providers ?? [];
  const entered = (now: Session) => {
    if (now.account?.row.id !== session.account?.row.id) {
      window.location.reload(); // somebody else: nothing of the one before may be seen
      return;
    }
    adopt(queries, now);
    close();
    void queries.invalidateQueries();
  };
  return (
    <Modal
      open={open}
      title={t('login:ended')}
      footer={null}
      closable={false}
      keyboard={false}
      mask={{ closable: false }}
      afterOpenChange={focusFirst}
      destroyOnHidden
    >
      <p>{t('login:ended.hint')}</p>
      <LoginForm onDone={entered} name={session.account?.row.name ?? ''} />
      <Providers providers={providers} back={pathname + search} />
    </Modal>
  );
}
