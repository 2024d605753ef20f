import { Button, type TableColumnsType } from 'antd';
import { useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { PagedTable } from '../../shared/parts/PagedTable';
import { PageFrame } from '../../shared/parts/PageFrame';
import { usePreferences } from '../../shared/preferences';
import { Empty } from '../../shared/states/Empty';
import { useProject } from '../project';
import { metricsOf, shownMetric } from './card';

type Model = Schemas['Model'];
const MOST = 6;
const SHOWN = 3;

/** Models that jobs released: choose some to compare them. */
export default function ModelList() {
  const { t, has } = useTexts('models');
  const { language } = usePreferences();
  const [project] = useProject();
  const [chosen, choose] = useState<string[]>([]);
  const navigate = useNavigate();
  const named = (name: string) => (has(`words:metric.${name}`) ? t(`words:metric.${name}`) : name);
  const columns: TableColumnsType<Model> = [
    {
      title: t('models:name'),
      key: 'name',
      render: (_, one) => (
        <Link to={`/models/${encodeURIComponent(one.id)}`}>
          {one.name} @{one.version}
        </Link>
      ),
    },
    {
      title: t('models:family'),
      key: 'family',
      render: (_, one) =>
        has(`words:family.${one.family}`) ? t(`words:family.${one.family}`) : one.family,
    },
    {
      title: t('models:metrics'),
      key: 'metrics',
      render: (_, one) =>
        metricsOf(one)
          .slice(0, SHOWN)
          .map((each) => `${named(each.name)} ${shownMetric(each, language)}`)
          .join(' · '),
    },
    {
      title: t('models:job'),
      key: 'job',
      render: (_, one) => <Link to={`/jobs/${encodeURIComponent(one.job)}`}>{one.job}</Link>,
    },
    { title: t('models:created'), key: 'at', render: (_, one) => <Moment at={one.created} /> },
    {
      title: t('models:compare'),
      key: 'compare',
      render: (_, one) => {
        const marked = chosen.includes(one.id);
        return (
          <Button
            size="small"
            aria-pressed={marked}
            type={marked ? 'primary' : 'default'}
            disabled={!marked && chosen.length >= MOST}
            onClick={() =>
              choose(marked ? chosen.filter((id) => id !== one.id) : [...chosen, one.id])
            }
          >
            {t(marked ? 'models:compare.chosen' : 'models:compare.choose')}
          </Button>
        );
      },
    },
  ];
  return (
    <PageFrame
      title={t('models:title')}
      lead={t('models:lead')}
      extra={
        <Button
          type="primary"
          disabled={chosen.length < 2}
          onClick={() => void navigate(`/models/compare?ids=${chosen.join(',')}`)}
        >
          {t('models:compare.do', { count: chosen.length })}
        </Button>
      }
    >
      <PagedTable<Model>
        label={t('models:title')}
        queryKey={['get', '/api/v1/models', 'paged', project]}
        load={async (cursor) => {
          const query = { newest: true, cursor, ...(project ? { project } : {}) };
          return (await http.GET('/api/v1/models', { params: { query } })).data!;
        }}
        columns={columns}
        rowKey={(one) => one.id}
        empty={<Empty title={t('models:none')} next={t('models:none.next')} />}
      />
    </PageFrame>
  );
}
