import { useQueries } from '@tanstack/react-query';
import { Link } from 'react-router';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Comparison, useCompared, type Line } from '../../shared/parts/Comparison';
import { usePreferences } from '../../shared/preferences';
import { metricsOf, namesOf, shownMetric } from '../models/card';
import { differences } from './differences';
import type { Job } from './useJob';

/** Runs beside each other: what their specs say otherwise, and what they reached. */
export default function RunComparison() {
  const { t, has } = useTexts('jobs');
  const { language } = usePreferences();
  const ids = useCompared();
  const answers = useQueries({
    queries: ids.map((key) =>
      api.queryOptions('get', '/api/v1/jobs/{key}', { params: { path: { key } } }),
    ),
  });
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
      strong: true,
    })),
    ...differences(jobs.map((one) => one.spec)).map(({ field, values }) => ({
      key: `spec.${field}`,
      label: field,
      values,
      strong: false,
    })),
  ];
  return (
    <Comparison
      title={t('jobs:comparison')}
      lead={t('jobs:comparison.lead')}
      few={{
        title: t('jobs:comparison.few'),
        action: <Link to="/jobs">{t('jobs:title')}</Link>,
      }}
      ids={ids}
      answers={answers}
      things={jobs.map((job) => ({
        key: job.id,
        title: <Link to={`/jobs/${encodeURIComponent(job.id)}`}>{job.name}</Link>,
      }))}
      lines={lines}
    />
  );
}
