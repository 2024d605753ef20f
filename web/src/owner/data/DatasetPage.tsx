import { Flex } from 'antd';
import { Link, useParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { api, type Schemas } from '../api';
import { GrantList } from '../grants/GrantList';
import { Facts } from '../parts/Facts';
import { Section } from '../parts/Section';
import { ShareBar } from '../parts/ShareBar';
import { Differences } from '../running/Differences';
import { UsesTable } from '../running/UsesTable';
import { useMay } from '../session';
import { Columns } from './Columns';
import { Publish } from './Publish';

/** One dataset: its declared schema, who used it, the grants for it, its budget. */
export default function DatasetPage() {
  const { t } = useTexts('holdings');
  const { name = '' } = useParams();
  const query = api.useQuery('get', '/api/datasets/{name}', { params: { path: { name } } });
  const decider = useMay('decider');
  return (
    <PageFrame
      title={name}
      lead={query.data?.dataset.title}
      extra={
        decider ? (
          <Link to={`/grants/new?dataset=${encodeURIComponent(name)}`}>
            {t('holdings:grant.new')}
          </Link>
        ) : null
      }
    >
      <Answer query={query}>{(shown) => <Dataset shown={shown} />}</Answer>
    </PageFrame>
  );
}

function Dataset({ shown }: { shown: Schemas['Dataset'] }) {
  const { t } = useTexts('holdings');
  const { dataset, usage, grants, budget } = shown;
  return (
    <Flex vertical gap="middle">
      <Differences differences={usage.differences} />
      <Section title={t('holdings:about')}>
        <Facts
          facts={[
            { label: t('holdings:state'), value: shown.published },
            {
              label: t('holdings:published'),
              value: dataset.published ? <Id value={dataset.published} /> : '',
            },
            { label: t('holdings:rows'), value: dataset.rows },
            { label: t('holdings:format'), value: dataset.format },
            { label: t('holdings:path'), value: dataset.path ? <code>{dataset.path}</code> : '' },
            { label: t('holdings:key'), value: dataset.key },
            {
              label: t('holdings:result'),
              value: dataset.result_of ? <Id value={dataset.result_of} /> : '',
            },
          ]}
        />
        <Publish dataset={dataset} />
      </Section>
      <Section title={t('holdings:schema', { count: dataset.count })}>
        <Columns columns={dataset.columns} />
      </Section>
      {budget ? (
        <Section
          title={t('holdings:budget')}
          extra={
            <Link to={`/budgets/${encodeURIComponent(budget.domain)}`}>
              {t('holdings:budget.course')}
            </Link>
          }
        >
          <p>{budget.domain}</p>
          <ShareBar share={budget.share} />
        </Section>
      ) : null}
      <Section title={t('holdings:grants')}>
        <GrantList rows={grants} />
      </Section>
      <Section title={t('holdings:usage', { count: usage.count })}>
        <UsesTable uses={usage.uses} />
      </Section>
    </Flex>
  );
}
