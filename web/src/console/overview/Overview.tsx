import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { useMe } from '../session';
import { Failures } from './Failures';
import { Links } from './Links';
import css from './Overview.module.css';
import { Running } from './Running';
import { Waiting } from './Waiting';

/** What waits for me, what runs, what failed and why, and whether the agents have their links. */
export default function Overview() {
  const { t } = useTexts('overview');
  const me = useMe();
  const who = me.data?.display || me.data?.name || '';
  return (
    <PageFrame title={t('overview:title')} lead={who ? t('overview:lead', { who }) : undefined}>
      <div className={css['cards']}>
        <Waiting />
        <Running />
        <Failures />
        <Links />
      </div>
    </PageFrame>
  );
}
