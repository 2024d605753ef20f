import { Button, Space, Tag, type TableColumnsType } from 'antd';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { PagedTable } from '../../shared/parts/PagedTable';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Empty } from '../../shared/states/Empty';
import { useMe } from '../session';
import { LinkState } from './LinkState';
import { NewOrganisation } from './NewOrganisation';
import { operates } from './rights';

type Organisation = Schemas['Organisation'];

/** All organisations, and whether the centre hears their agents. */
export default function OrganisationList() {
  const { t } = useTexts('organisations');
  const me = useMe().data;
  const [adding, add] = useState(false);
  const columns: TableColumnsType<Organisation> = [
    {
      title: t('organisations:name'),
      key: 'name',
      render: (_, one) => (
        <Link to={`/organisations/${encodeURIComponent(one.id)}`}>{one.name}</Link>
      ),
    },
    { title: t('organisations:id'), key: 'id', render: (_, one) => <Id value={one.id} /> },
    {
      title: t('organisations:agent'),
      key: 'link',
      render: (_, one) =>
        one.disabled ? (
          <Tag color="error">{t('organisations:disabled')}</Tag>
        ) : (
          <LinkState organisation={one.id} />
        ),
    },
    {
      title: t('organisations:since'),
      key: 'created',
      render: (_, one) => <Moment at={one.created} />,
    },
  ];
  return (
    <PageFrame
      title={t('organisations:title')}
      lead={t('organisations:lead')}
      extra={
        <Space>
          <Link to="/organisations/charter">{t('organisations:charter')}</Link>
          {operates(me) ? (
            <Button type="primary" onClick={() => add(true)}>
              {t('organisations:new')}
            </Button>
          ) : null}
        </Space>
      }
    >
      <PagedTable<Organisation>
        label={t('organisations:title')}
        queryKey={api.queryOptions('get', '/api/v1/organisations').queryKey}
        load={async (cursor) =>
          (await http.GET('/api/v1/organisations', { params: { query: { cursor } } })).data!
        }
        columns={columns}
        rowKey={(one) => one.id}
        empty={
          <Empty title={t('organisations:none')} next={t('organisations:none.next')} />
        }
      />
      {operates(me) ? <NewOrganisation open={adding} close={() => add(false)} /> : null}
    </PageFrame>
  );
}
