import { useQueryClient } from '@tanstack/react-query';
import { Alert, App, Button, Card, Descriptions, Flex, Space } from 'antd';
import { useState } from 'react';
import { useParams } from 'react-router';
import { api, http } from '../../api/client';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { useMe, type Account } from '../session';
import { ColumnTable } from './ColumnTable';
import type { Dataset } from './columns';
import { GrantDialog } from './GrantDialog';
import { GrantTable } from './GrantTable';

/** Whether somebody owns the data at their organisation. */
function owns(me: Account | undefined, dataset: Dataset): boolean {
  if (me?.organisation !== dataset.organisation) return false;
  return me.roles.includes('data-owner') || me.roles.includes('organisation-admin');
}

/** A dataset as its owner declared it, and which projects may use it. */
export default function DatasetPage() {
  const { dataset: key = '' } = useParams();
  const { t } = useTexts('data');
  const me = useMe().data;
  const query = api.useQuery('get', '/api/v1/datasets/{key}', { params: { path: { key } } });
  const dataset = query.data;
  return (
    <PageFrame
      title={dataset ? dataset.title || dataset.name : t('data:dataset')}
      lead={dataset?.organisation}
      extra={dataset && owns(me, dataset) && !dataset.removed ? <Deeds dataset={dataset} /> : null}
    >
      <Answer query={query}>
        {(one) => (
          <Flex vertical gap="middle">
            {one.removed ? <Alert type="warning" showIcon title={t('data:removed.hint')} /> : null}
            <Facts dataset={one} />
            <Card size="small" title={t('data:columns')}>
              <ColumnTable columns={one.columns} />
            </Card>
            <Card size="small" title={t('data:grants')}>
              <GrantTable dataset={one} owns={owns(me, one)} />
            </Card>
          </Flex>
        )}
      </Answer>
    </PageFrame>
  );
}

function Facts({ dataset }: { dataset: Dataset }) {
  const { t } = useTexts('data');
  const { privacy } = dataset;
  return (
    <Card size="small">
      <Descriptions
        size="small"
        column={{ xs: 1, md: 2 }}
        items={[
          { key: 'id', label: t('data:id'), children: <Id value={dataset.id} /> },
          { key: 'name', label: t('data:declared'), children: <Id value={dataset.name} /> },
          { key: 'rows', label: t('data:rows'), children: dataset.rows },
          {
            key: 'unit',
            label: t('data:unit'),
            children: privacy ? t(`data:unit.${privacy.unit}`) : t('data:unit.none'),
          },
          { key: 'key', label: t('data:key'), children: dataset.key ?? t('data:key.none') },
          {
            key: 'published',
            label: t('data:published'),
            children: <Moment at={dataset.created} />,
          },
          {
            key: 'commitment',
            label: t('data:commitment'),
            span: 'filled',
            children: <Id value={dataset.commitment} />,
          },
        ]}
      />
    </Card>
  );
}

/** What an owner does with the description: let a project ask, or take it away. */
function Deeds({ dataset }: { dataset: Dataset }) {
  const { t } = useTexts('data');
  const { modal, message } = App.useApp();
  const queries = useQueryClient();
  const [granting, grant] = useState(false);
  const remove = async () => {
    try {
      await http.DELETE('/api/v1/datasets/{key}', { params: { path: { key: dataset.id } } });
      await queries.invalidateQueries({ queryKey: ['get', '/api/v1/datasets/{key}'] });
      await queries.invalidateQueries({ queryKey: ['get', '/api/v1/datasets'] });
    } catch (error) {
      message.error(asProblem(error).message);
    }
  };
  const ask = () =>
    modal.confirm({
      title: t('data:remove.ask', { name: dataset.title || dataset.name }),
      content: t('data:remove.hint'),
      okText: t('data:remove'),
      okButtonProps: { danger: true },
      cancelText: t('data:cancel'),
      onOk: remove,
    });
  return (
    <Space wrap>
      <Button type="primary" onClick={() => grant(true)}>
        {t('data:grant')}
      </Button>
      <Button danger onClick={ask}>
        {t('data:remove')}
      </Button>
      <GrantDialog dataset={dataset} open={granting} close={() => grant(false)} />
    </Space>
  );
}
