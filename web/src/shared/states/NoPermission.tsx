import { Alert } from 'antd';
import type { Problem } from '../../api/problem';
import { useTexts } from '../i18n';

/** Not for this user: says what is missing, and who can give it. */
export function NoPermission({ error }: { error: Problem }) {
  const { t } = useTexts();
  return (
    <Alert
      type="warning"
      showIcon
      title={error.message || t('common:nopermission.title')}
      description={
        <>
          <p>{error.hint || t('common:nopermission.hint')}</p>
          <p>
            {t('common:failed.code')} <code>{error.code}</code>
          </p>
        </>
      }
    />
  );
}
