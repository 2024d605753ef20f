import { Alert, Flex } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { WideTable } from '../../shared/parts/WideTable';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { useAnchorColumns } from '../record/AnchorList';
import { WhoSays } from '../record/Anchors';
import type { Said } from '../record/anchors';
import { useJobAnchors } from '../record/useAnchors';
import type { Job } from './useJob';

/** What members say they anchored about the job: where it stands, in which transaction and block. */
export function AnchorsTab({ job }: { job: Job }) {
  const { t } = useTexts('anchors');
  const columns = useAnchorColumns();
  const empty = {
    when: ({ said }: { said: Said[] }) => !said.length,
    show: <Empty title={t('anchors:job.none')} next={t('anchors:none.next')} />,
  };
  return (
    <Flex vertical gap="middle">
      <WhoSays />
      <Answer query={useJobAnchors(job.id)} empty={empty}>
        {({ said, more }) => (
          <Flex vertical gap="small">
            {more ? <Alert type="warning" showIcon title={t('anchors:more')} /> : null}
            <WideTable<Said>
              size="small"
              pagination={false}
              rowKey={(one) => `${one.organisation} ${one.place} ${one.transaction} ${one.digest}`}
              dataSource={said}
              columns={columns}
            />
            <p>
              {t('anchors:job.heads')} <Link to="/record/anchors">{t('anchors:title')}</Link>
            </p>
          </Flex>
        )}
      </Answer>
    </Flex>
  );
}
