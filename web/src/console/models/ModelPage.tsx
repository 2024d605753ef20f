import { Button, Card as Box, Descriptions, Flex, Table } from 'antd';
import { Link, useParams } from 'react-router';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { prefix } from '../../shared/place';
import { usePreferences } from '../../shared/preferences';
import { Answer } from '../../shared/states/Answer';
import { ModelLineage } from './ModelLineage';
import { columnsOf, members, metricsOf, shownMetric, text, texts, type Card, type Metric } from './card';

/** A model: what it is, how it was made and from whose rows, how good it is, and its file. */
export default function ModelPage() {
  const { model: key = '' } = useParams();
  const { t } = useTexts('models');
  const path = { params: { path: { key } } };
  const card = api.useQuery('get', '/api/v1/models/{key}/card', path);
  const title = card.data
    ? `${text(card.data['name'])} @${String(card.data['version'])}`
    : t('models:model');
  return (
    <PageFrame
      title={title}
      lead={text(card.data?.['purpose'])}
      extra={
        <Button href={`${prefix()}/api/v1/models/${encodeURIComponent(key)}/content`} download>
          {t('models:download')}
        </Button>
      }
    >
      <Answer query={card}>
        {(shown) => (
          <Flex vertical gap="middle">
            <Facts card={shown} />
            <Figures card={shown} />
            <Inputs card={shown} />
            <ModelLineage model={key} />
          </Flex>
        )}
      </Answer>
    </PageFrame>
  );
}

function Facts({ card }: { card: Card }) {
  const { t, has } = useTexts('models');
  const family = text(card['family']);
  const protection = text(card['protection']);
  const tee = text(card['tee']);
  const job = text(card['job']);
  const created = Number(card['created']) || 0;
  const plan = members(card['plan']);
  return (
    <Box size="small">
      <Descriptions
        size="small"
        column={{ xs: 1, md: 2 }}
        items={[
          { key: 'id', label: t('models:id'), children: <Id value={text(card['id'])} /> },
          { key: 'created', label: t('models:created'), children: <Moment at={created} /> },
          {
            key: 'family',
            label: t('models:family'),
            children: has(`words:family.${family}`) ? t(`words:family.${family}`) : family,
          },
          {
            key: 'job',
            label: t('models:job'),
            children: <Link to={`/jobs/${encodeURIComponent(job)}`}>{job}</Link>,
          },
          {
            key: 'owners',
            label: t('models:owners'),
            children: texts(card['contributors']).join(', '),
          },
          {
            key: 'protection',
            label: t('models:protection'),
            children: (
              <>
                {has(`words:protection.${protection}`)
                  ? t(`words:protection.${protection}`)
                  : protection}{' '}
                {tee ? <span className={tee.includes('SIMULATED') ? 'simulated' : ''}>{tee}</span> : null}
              </>
            ),
          },
          { key: 'privacy', label: t('models:privacy'), children: <Privacy card={card} /> },
          {
            key: 'rounds',
            label: t('models:rounds'),
            children: `${String(card['rounds'] ?? '')} / ${String(plan['rounds'] ?? '')}`,
          },
          {
            key: 'digest',
            label: t('models:digest'),
            span: 'filled',
            children: <Id value={text(card['digest'])} />,
          },
          {
            key: 'spec',
            label: t('models:spec'),
            span: 'filled',
            children: <Id value={text(card['spec_digest'])} />,
          },
        ]}
      />
      <Parents ids={texts(card['parents'])} />
    </Box>
  );
}

function Privacy({ card }: { card: Card }) {
  const { t } = useTexts('models');
  const privacy = members(card['privacy']);
  const epsilon = privacy['epsilon'];
  if (typeof epsilon !== 'number') return t('models:privacy.none');
  return t('models:privacy.told', {
    epsilon: epsilon.toPrecision(4),
    delta: Number(privacy['delta']).toExponential(0),
    unit: text(privacy['unit']),
  });
}

function Parents({ ids }: { ids: string[] }) {
  const { t } = useTexts('models');
  if (!ids.length) return null;
  return (
    <p>
      {t('models:parents')}{' '}
      {ids.map((id) => (
        <Link key={id} to={`/models/${encodeURIComponent(id)}`} style={{ marginInlineEnd: 8 }}>
          {id}
        </Link>
      ))}
    </p>
  );
}

function Figures({ card }: { card: Card }) {
  const { t, has } = useTexts('models');
  const { language } = usePreferences();
  const metrics = metricsOf(card);
  const noised = metrics.some((one) => one.error);
  return (
    <Box size="small" title={t('models:metrics')}>
      <Table<Metric>
        size="small"
        pagination={false}
        rowKey={(one) => one.name}
        dataSource={metrics}
        locale={{ emptyText: t('models:metrics.none') }}
        columns={[
          {
            title: t('models:metric'),
            key: 'name',
            render: (_, one) =>
              has(`words:metric.${one.name}`) ? t(`words:metric.${one.name}`) : one.name,
          },
          {
            title: t('models:value'),
            key: 'value',
            align: 'right',
            className: 'number',
            render: (_, one) => shownMetric(one, language),
          },
        ]}
      />
      {noised ? <p>{t('models:metrics.noised')}</p> : null}
    </Box>
  );
}

const PARTS = ['numeric', 'categorical', 'images', 'arrays', 'texts'] as const;

function Inputs({ card }: { card: Card }) {
  const { t } = useTexts('models');
  const label = members(members(card['features'])['label']);
  const items = PARTS.flatMap((part) => {
    const names = columnsOf(card, part);
    return names.length
      ? [{ key: part, label: t(`models:inputs.${part}`), children: names.join(', ') }]
      : [];
  });
  if (!items.length) return null;
  const target = text(label['column']);
  return (
    <Box size="small" title={t('models:inputs')}>
      <Descriptions
        size="small"
        column={1}
        items={[
          ...(target ? [{ key: 'label', label: t('models:label'), children: target }] : []),
          ...items,
        ]}
      />
    </Box>
  );
}
