import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { useProject } from '../project';
import { useMe } from '../session';
import { Failures } from './Failures';
import { Links } from './Links';
import { Operations } from './Operations';
import css from './Overview.module.css';
import { ofProject, useOverview } from './overview';
import { Running } from './Running';
import { Waiting } from './Waiting';

/** What waits for me, what runs, what failed and why, and whether the agents have their links. */
export default function OverviewPage() {
  const { t } = useTexts('overview');
  const me = useMe();
  const overview = useOverview();
  const [project] = useProject();
  const here = ofProject(project);
  const who = me.data?.display || me.data?.name || '';
  return (
    <PageFrame title={t('overview:title')} lead={who ? t('overview:lead', { who }) : undefined}>
      <Answer query={overview}>
        {(shown) => (
          <div className={css['cards']}>
            <Waiting waiting={shown.waiting} absent={shown.absent} here={here} />
            <Running
              jobs={shown.running.filter(here)}
              absent={shown.absent}
              more={shown.absent_more}
              queue={shown.queue}
            />
            <Failures jobs={shown.failed.filter(here)} />
            <Links links={shown.links} />
            {shown.platform ? <Operations platform={shown.platform} /> : null}
          </div>
        )}
      </Answer>
    </PageFrame>
  );
}
