import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { api } from '../api';
import { UsesTable } from './UsesTable';

/** The jobs that use data of this organisation now, and how to stop one. */
export default function RunningPage() {
  const { t } = useTexts('owner');
  const query = api.useQuery('get', '/api/running');
  return (
    <PageFrame title={t('owner:running')} lead={t('owner:running.lead')}>
      <Answer
        query={query}
        empty={{
          when: ({ uses }) => !uses.length,
          show: <Empty title={t('owner:uses.none')} next={t('owner:running.none')} />,
        }}
      >
        {({ uses }) => <UsesTable uses={uses} running />}
      </Answer>
    </PageFrame>
  );
}
