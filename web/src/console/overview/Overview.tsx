import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';

/** What waits for me, what runs, what failed and why, and whether the agents have their links. */
export default function Overview() {
  const { t } = useTexts('overview');
  return <PageFrame title={t('overview:title')}>{null}</PageFrame>;
}
