import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { api } from '../api';
import { Section } from '../parts/Section';
import { useSession } from '../session';
import { Differences } from '../running/Differences';
import { Uses } from '../running/Uses';
import { Budgets } from './Budgets';
import { Last } from './Last';
import { Notices } from './Notices';
import css from './Overview.module.css';
import { Proposals } from './Proposals';
import { Waiting } from './Waiting';

/** What waits for me, what is left of the budgets, who uses what now, and what happened last. */
export default function OverviewPage() {
  const { t } = useTexts('owner');
  const query = api.useQuery('get', '/api/overview');
  const organisation = useSession().data?.organisation ?? '';
  return (
    <PageFrame title={t('owner:overview')} lead={t('owner:overview.lead', { organisation })}>
      <Answer query={query}>
        {(shown) => (
          <>
            <Differences differences={shown.usage.differences} />
            <div className={css['cards']}>
              <Waiting waiting={shown.waiting} waits={shown.waits} overdue={shown.overdue} />
              <Notices notices={shown.notices} />
              <Proposals proposals={shown.proposals} />
              <Budgets budgets={shown.budgets} />
              <Section title={t('owner:uses')} extra={<Link to="/running">{t('owner:all')}</Link>}>
                <Uses uses={shown.usage.uses} />
              </Section>
              <Last last={shown.last.entries} />
            </div>
          </>
        )}
      </Answer>
    </PageFrame>
  );
}
