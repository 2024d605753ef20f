import { Modal } from 'antd';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { useLocation } from 'react-router';
import { onSessionEnd } from '../../api/queries';
import { useTexts } from '../../shared/i18n';
import { focusFirst } from '../../shared/parts/first';
import { LoginForm } from '../login/LoginForm';
import { Providers } from '../login/Providers';
import { useMe, type Account } from '../session';

/** The session ended in mid-work: asks for the login over the page, so that nothing is lost. */
export function SessionEnded() {
  const { t } = useTexts('login');
  const [ended, setEnded] = useState(false);
  const queries = useQueryClient();
  const { pathname, search } = useLocation();
  const me = useMe();
  useEffect(() => {
    onSessionEnd(() => setEnded(true));
    return () => onSessionEnd(() => undefined);
  }, []);
  const entered = (who: Account) => {
    if (who.id !== me.data?.id) {
      window.location.reload(); // somebody else: nothing of the one before may be seen
      return;
    }
    setEnded(false);
    void queries.invalidateQueries();
  };
  return (
    <Modal
      open={ended}
      title={t('login:ended')}
      footer={null}
      closable={false}
      keyboard={false}
      mask={{ closable: false }}
      afterOpenChange={focusFirst}
      destroyOnHidden
    >
      <p>{t('login:ended.hint')}</p>
      <LoginForm onDone={entered} {...(me.data ? { name: me.data.name } : {})} />
      <Providers back={pathname + search} />
    </Modal>
  );
}
