import { useQueries } from '@tanstack/react-query';
import { type TableColumnsType } from 'antd';
import { Link, useSearchParams } from 'react-router';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { WideTable } from '../../shared/parts/WideTable';
import { usePreferences } from '../../shared/preferences';
import { Empty } from '../../shared/states/Empty';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { members, metricsOf, namesOf, shownMetric, text, texts, type Card } from './card';

const MOST = 6;
type Line = { key: string; label: string; values: string[]; differs: boolean };

/** What a line of the comparison says of each model. */
function line(key: string, label: string, values: string[]): Line {
  return { key, label, values, differs: new Set(values).size > 1 };
}

/** Models beside each other: what they are, how they were made, and what they reached. */
export default function ModelComparison() {
  const { t, has } = useTexts('models');
  const { language } = usePreferences();
  const [search] = useSearchParams();
  const ids = [...new Set((search.get('ids') ?? '').split(',').filter(Boolean))].slice(0, MOST);
  const answers = useQueries({
    queries: ids.map((key) =>
      api.queryOptions('get', '/api/v1/models/{key}/card', { params: { path: { key } } }),
    ),
  });
  const failed = answers.find((one) => one.isError);
  const cards = answers.flatMap((one) => (one.data ? [one.data as Card] : []));
  const told = (area: string, name: string) =>
    has(`words:${area}.${name}`) ? t(`words:${area}.${name}`) : name;
  const lines = [
    line(
      'family',
      t('models:family'),
      cards.map((one) => told('family', text(one['family']))),
    ),
    line(
      'owners',
      t('models:owners'),
      cards.map((one) => texts(one['contributors']).join(', ')),
    ),
    line(
      'protection',
      t('models:protection'),
      cards.map((one) => told('protection', text(one['protection']))),
    ),
    line(
      'privacy',
      t('models:epsilon'),
      cards.map((one) => {
        const epsilon = members(one['privacy'])['epsilon'];
        return typeof epsilon === 'number' ? epsilon.toPrecision(4) : t('models:privacy.none');
      }),
    ),
    line(
      'rounds',
      t('models:rounds'),
      cards.map((one) => String(one['rounds'] ?? '')),
    ),
    ...namesOf(cards).map((name) =>
      line(
        `metric.${name}`,
        told('metric', name),
        cards.map((one) => {
          const metric = metricsOf(one).find((each) => each.name === name);
          return metric ? shownMetric(metric, language) : '';
        }),
      ),
    ),
  ];
  const columns: TableColumnsType<Line> = [
    { title: '', key: 'label', fixed: 'left', render: (_, one) => one.label },
    ...cards.map((card, at) => ({
      title: (
        <Link to={`/models/${encodeURIComponent(text(card['id']))}`}>
          {text(card['name'])} @{String(card['version'])}
        </Link>
      ),
      key: text(card['id']),
      align: 'right' as const,
      className: 'number',
      render: (_: unknown, one: Line) =>
        one.differs ? <strong>{one.values[at]}</strong> : one.values[at],
    })),
  ];
  return (
    <PageFrame title={t('models:comparison')} lead={t('models:comparison.lead')}>
      {failed ? (
        <Failed error={failed.error} />
      ) : ids.length < 2 ? (
        <Empty
          title={t('models:comparison.few')}
          action={<Link to="/models">{t('models:title')}</Link>}
        />
      ) : cards.length < ids.length ? (
        <Loading />
      ) : (
        <WideTable<Line>
          size="small"
          pagination={false}
          rowKey={(one) => one.key}
          dataSource={lines}
          columns={columns}
        />
      )}
    </PageFrame>
  );
}
