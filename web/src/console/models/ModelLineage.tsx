import { Card, Col, Flex, Row, Typography } from 'antd';
import { Link } from 'react-router';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { StateTag } from '../../shared/parts/StateTag';
import { WideTable } from '../../shared/parts/WideTable';
import { usePreferences } from '../../shared/preferences';
import { Answer } from '../../shared/states/Answer';
import { metricsOf, shownMetric } from './card';
import { addressOf, treeOf, type Branch, type Direction, type Place } from './lineage';
import css from './Lineage.module.css';

type Lineage = Schemas['Lineage'];
type Measured = Schemas['Measured'];

/** Where a model comes from, what was made of it, and who evaluated it. */
export function ModelLineage({ model }: { model: string }) {
  const query = api.useQuery('get', '/api/v1/models/{key}/lineage', {
    params: { path: { key: model } },
  });
  return (
    <Answer query={query}>
      {(lineage) => (
        <Flex vertical gap="middle">
          <Trees lineage={lineage} />
          <Evaluations evaluations={lineage.evaluations} />
        </Flex>
      )}
    </Answer>
  );
}

const EMPTY: Record<Direction, string> = {
  before: 'models:lineage.none',
  after: 'models:lineage.unused',
};

function Trees({ lineage }: { lineage: Lineage }) {
  const { t } = useTexts('models');
  return (
    <Card size="small" title={t('models:lineage')}>
      <Row gutter={[24, 16]}>
        {(['before', 'after'] as const).map((direction) => {
          const branches = treeOf(lineage, direction);
          return (
            <Col key={direction} xs={24} lg={12}>
              <Typography.Title level={2} className={css['title']}>
                {t(`models:lineage.${direction}`)}
              </Typography.Title>
              {branches.length ? (
                <Branches branches={branches} direction={direction} />
              ) : (
                <p>{t(EMPTY[direction])}</p>
              )}
            </Col>
          );
        })}
      </Row>
      {lineage.more ? <p>{t('models:lineage.more')}</p> : null}
    </Card>
  );
}

function Branches({ branches, direction }: { branches: Branch[]; direction: Direction }) {
  const { t } = useTexts('models');
  const word = (one: Branch) =>
    direction === 'before' ? t(`models:relation.${one.relation}`) : t(`models:led.${one.relation}`);
  return (
    <ul className={css['branches']}>
      {branches.map((one) => (
        <li key={one.node.id}>
          <span className={css['relation']}>{word(one)}</span> <Named node={one.node} />
          {one.branches.length ? (
            <Branches branches={one.branches} direction={direction} />
          ) : null}
        </li>
      ))}
    </ul>
  );
}

function Named({ node }: { node: Place }) {
  const { t, has } = useTexts('models');
  const to = addressOf(node);
  const detail = node.detail ?? {};
  const { kind, state, version, kept } = detail;
  const job = typeof kind === 'string' && has(`words:kind.${kind}`) ? t(`words:kind.${kind}`) : '';
  const name = node.kind === 'model' && version ? `${node.name} @${String(version)}` : node.name;
  return (
    <>
      {to ? <Link to={to}>{name}</Link> : <code>{name}</code>}{' '}
      {node.kind === 'upload'
        ? t(kept === true ? 'models:lineage.kept' : 'models:lineage.erased')
        : job}{' '}
      {typeof state === 'string' && has(`words:state.${state}`) ? <StateTag state={state} /> : null}
      <span className={css['relation']}>
        {node.organisation} {node.created ? <Moment at={node.created} /> : null}
      </span>
    </>
  );
}

function Evaluations({ evaluations }: { evaluations: Measured[] }) {
  const { t, has } = useTexts('models');
  const { language } = usePreferences();
  const figures = (one: Measured) =>
    metricsOf({ metrics: one.figures }).map((metric) => {
      const name = has(`words:metric.${metric.name}`)
        ? t(`words:metric.${metric.name}`)
        : metric.name;
      return <div key={metric.name}>{`${name}: ${shownMetric(metric, language)}`}</div>;
    });
  return (
    <Card size="small" title={t('models:evaluations')}>
      <WideTable<Measured>
        size="small"
        pagination={false}
        rowKey={(one) => one.job}
        dataSource={evaluations}
        locale={{ emptyText: t('models:evaluations.none') }}
        columns={[
          { title: t('models:evaluation.by'), key: 'by', dataIndex: 'by' },
          {
            title: t('models:evaluation.rows'),
            key: 'rows',
            render: (_, one) => one.contributors.join(', '),
          },
          { title: t('models:metrics'), key: 'figures', render: (_, one) => figures(one) },
          {
            title: t('models:evaluation.at'),
            key: 'at',
            render: (_, one) => <Moment at={one.at} />,
          },
          {
            title: t('models:job'),
            key: 'job',
            render: (_, one) => (
              <Link to={`/jobs/${encodeURIComponent(one.job)}`}>{one.job}</Link>
            ),
          },
        ]}
      />
    </Card>
  );
}
