import { Skeleton } from 'antd';
import { useTexts } from '../i18n';

/** What is shown until the answer is here; `what` says what is awaited. */
export function Loading({ what }: { what?: string }) {
  const { t } = useTexts();
  return (
    <div role="status" aria-busy="true" aria-label={what ?? t('common:loading')}>
      <Skeleton active paragraph={{ rows: 4 }} />
    </div>
  );
}
