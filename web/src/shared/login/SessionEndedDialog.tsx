import { Modal } from 'antd';
import type { ReactNode } from 'react';
import { useTexts } from '../i18n';
import { focusFirst } from '../parts/first';

type Props = { open: boolean; children: ReactNode };

/** The session ended in mid-work: asks for the login over the page, so that nothing is lost. */
export function SessionEndedDialog({ open, children }: Props) {
  const { t } = useTexts('login');
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
      {children}
    </Modal>
  );
}
