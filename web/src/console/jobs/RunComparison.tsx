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
import { metricsOf, namesOf, shownMetric } from '../models/card';
import { differences } from './differences';
import type { Job } from './useJob';

const MOST = 6;
type Line = { key: string; label: string; values: string[]; figure: boolean };

/** Runs beside each other: what their specs say otherwise, and what they reached. */
export default function RunComparison() {
  const { t, has } = useTexts('jobs');
  const { language } = usePreferences();
  const [search] = useSearchParams();
  const ids = [...new Set((search.get('ids') ?? '').split(',').filter(Boolean))].slice(0, MOST);
  const answers = useQueries({
    queries: ids.map((key) =>
      api.queryOptions('get', '/api/v1/jobs/{key}', { params: { path: { key } } }),
    ),
  });
  const failed = answers.find((one) => one.isError);
  const jobs = answers.flatMap((one) => (one.data ? [one.data as Job] : []));
  const reports = jobs.map((one) => (one.report ?? {}) as { metrics?: unknown });
  const lines: Line[] = [
    ...namesOf(reports).map((name) => ({
      key: `figure.${name}`,
      label: has(`words:metric.${name}`) ? t(`words:metric.${name}`) : name,
      values: reports.map((one) => {
        const metric = metricsOf(one).find((each) => each.name === name);
        return metric ? shownMetric(metric, language) : '';
      }),
      figure: true,
    })),
    ...differences(jobs.map((one) => one.spec)).map(({ field, values }) => ({
      key: `spec.${field}`,
      label: field,
      values,
      figure: false,
    })),
  ];
  const columns: TableColumnsType<Line> = [
    { title: '', key: 'label', fixed: 'left', render: (_, one) => one.label },
    ...jobs.map((job, at) => ({
      title: <Link to={`/jobs/${encodeURIComponent(job.id)}`}>{job.name}</Link>,
      key: job.id,
      className: 'number',
      render: (_: unknown, one: Line) =>
        one.figure ? <strong>{one.values[at]}</strong> : one.values[at],
    })),
  ];
  return (
    <PageFrame title={t('jobs:comparison')} lead={t('jobs:comparison.lead')}>
      {failed ? (
        <Failed error={failed.error} />
      ) : ids.length < 2 ? (
        <Empty title={t('jobs:comparison.few')} action={<Link to="/jobs">{t('jobs:title')}</Link>} />
      ) : jobs.length < ids.length ? (
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
