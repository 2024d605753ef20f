import { Result } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../i18n';
import { PageFrame } from '../parts/PageFrame';

/** There is no such page. */
export function Absent() {
  const { t } = useTexts();
  return (
    <PageFrame title={t('common:absent.title')}>
      <Result
        status="404"
        subTitle={t('common:absent.hint')}
        extra={<Link to="/">{t('common:absent.home')}</Link>}
      />
    </PageFrame>
  );
}
