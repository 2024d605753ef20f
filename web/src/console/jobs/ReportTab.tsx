import { Card, Descriptions, Flex, Statistic, Table } from 'antd';
import { Link } from 'react-router';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { usePreferences } from '../../shared/preferences';
import { Answer } from '../../shared/states/Answer';
import { members, metricsOf, shownMetric, text, texts } from '../models/card';
import { Answers, Shared } from './Answers';
import { Comparison } from './Comparison';
import { Sees, rowsOf } from './ExplanationTab';
import type { Job } from './useJob';

type Report = Record<string, unknown>;

/** The report: the figures first, then what its kind says, who contributed, and the proof last. */
export function ReportTab({ job }: { job: Job }) {
  const { language } = usePreferences();
  const query = api.useQuery('get', '/api/v1/jobs/{key}/report', {
    params: { path: { key: job.id }, query: { lang: language } },
  });
  return (
    <Answer query={query}>
      {(answer) => <Drawn report={members(answer)} />}
    </Answer>
  );
}

function Drawn({ report }: { report: Report }) {
  const sections = rowsOf(report['sections']);
  const headlines = report['kind'] === 'pipeline' ? 1 : 0;
  return (
    <Flex vertical gap="middle">
          <Headline report={report} />
          <Shared report={report} />
          <Answers report={report} />
          {sections.slice(0, headlines).map((one) => (
            <Section key={text(one['title'])} section={one} />
          ))}
          <Comparison report={report} />
          {sections.slice(headlines).map((one, at) => (
            <Section key={`${text(one['title'])}/${at}`} section={one} />
          ))}
          <Contributions report={report} />
          <Sees rows={rowsOf(report['disclosure'])} />
          <Proof report={report} />
    </Flex>
  );
}

function Headline({ report }: { report: Report }) {
  const { t, has } = useTexts('jobs');
  const { language } = usePreferences();
  const metrics = metricsOf(report);
  const model = members(report['model']);
  if (!metrics.length && !text(model['id'])) return null;
  return (
    <Card size="small">
      <Flex gap="large" wrap align="center">
        {metrics.map((one) => (
          <Statistic
            key={one.name}
            title={has(`words:metric.${one.name}`) ? t(`words:metric.${one.name}`) : one.name}
            value={shownMetric(one, language)}
          />
        ))}
        {text(model['id']) ? (
          <Link to={`/models/${encodeURIComponent(text(model['id']))}`}>{t('jobs:model')}</Link>
        ) : null}
      </Flex>
    </Card>
  );
}

const SHOWN = { mdl: '/models/', job: '/jobs/' } as const;

/** A value in words; the id of a model or a job leads to its page. */
function Told({ value }: { value: unknown }) {
  const said = told(value);
  const kind = /^(mdl|job)_[0-9a-z]{20}$/.exec(said)?.[1] as keyof typeof SHOWN | undefined;
  return kind ? <Link to={SHOWN[kind] + said}>{said}</Link> : said;
}

function told(value: unknown): string {
  if (Array.isArray(value)) return value.map(told).join(', ');
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value ?? '');
}

/** What is said in a line; the job that it is of is a link beside it. */
function Line({ line }: { line: Report }) {
  const job = text(line['job']);
  return (
    <>
      <Told value={line['value']} />
      {job ? (
        <>
          {' · '}
          <Told value={job} />
        </>
      ) : null}
    </>
  );
}

function Section({ section }: { section: Report }) {
  const { t, has } = useTexts('jobs');
  const named = (label: string) =>
    has(`words:metric.${label}`) ? t(`words:metric.${label}`) : label;
  const rows = rowsOf(section['rows']);
  return (
    <Card size="small" title={text(section['title'])}>
      <Descriptions
        size="small"
        column={1}
        items={rows.map((one, at) => ({
          key: String(at),
          label: named(text(one['label'])),
          children: <Line line={one} />,
        }))}
      />
    </Card>
  );
}

function Contributions({ report }: { report: Report }) {
  const { t } = useTexts('jobs');
  const rows = Object.entries(members(report['contributions'])).map(([party, value]) => {
    const { rounds, rows: count } = members(value);
    return { party, rounds: told(rounds), rows: count === null ? '' : told(count) };
  });
  if (!rows.length) return null;
  return (
    <Card size="small" title={t('jobs:contributions')}>
      <Table
        size="small"
        pagination={false}
        rowKey={(one) => one.party}
        dataSource={rows}
        columns={[
          { title: t('jobs:party'), key: 'party', dataIndex: 'party' },
          {
            title: t('jobs:rounds'),
            key: 'rounds',
            align: 'right',
            className: 'number',
            dataIndex: 'rounds',
          },
          {
            title: t('jobs:rows'),
            key: 'rows',
            align: 'right',
            className: 'number',
            dataIndex: 'rows',
          },
        ]}
      />
    </Card>
  );
}

function Proof({ report }: { report: Report }) {
  const { t } = useTexts('jobs');
  const ledger = members(report['ledger']);
  const command = `secureflow audit verify ${text(report['job'])}.bundle.json --charter charter.json`;
  return (
    <Card size="small" title={t('jobs:proof')}>
      <Descriptions
        size="small"
        column={1}
        items={[
          { key: 'tee', label: t('jobs:tee'), children: text(report['tee']) || t('jobs:tee.none') },
          { key: 'size', label: t('jobs:entries'), children: told(ledger['size']) },
          {
            key: 'cosigners',
            label: t('jobs:cosigners'),
            children: texts(ledger['cosigners']).join(', '),
          },
          {
            key: 'digest',
            label: t('jobs:digest'),
            children: <Id value={text(report['spec_digest'])} />,
          },
          {
            key: 'verify',
            label: t('jobs:verify'),
            children: (
              <span>
                {t('jobs:verify.own')} <Id value={command} />
              </span>
            ),
          },
        ]}
      />
      <p>{t('jobs:verify.hint')}</p>
      <Link to="/record/verify">{t('jobs:verify.here')}</Link>
    </Card>
  );
}
