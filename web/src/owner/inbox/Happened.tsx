import { Alert } from 'antd';
import { useTexts } from '../../shared/i18n';
import type { Done } from './Deciding';

/** What came of a decision. */
export function Happened({ done }: { done: Done }) {
  const { t } = useTexts('inbox');
  if (done.refused) {
    return (
      <Alert type="error" showIcon title={t('inbox:done.refused')} description={done.refused} />
    );
  }
  return <Alert type="success" showIcon title={t(`inbox:done.${wordOf(done)}`)} />;
}

/** Under which word the catalogue has an outcome. */
export function wordOf(done: Done): string {
  if (done.way !== 'approve') return done.way;
  if (done.second) return 'second';
  return done.signed ? 'signed' : 'later';
}
