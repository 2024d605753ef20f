import { Tag, type TableColumnsType } from 'antd';
import { Link } from 'react-router';
import { http } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { PagedTable } from '../../shared/parts/PagedTable';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Empty } from '../../shared/states/Empty';
import { useProject } from '../project';
import { useMe } from '../session';
import type { Dataset } from './columns';

/** Descriptions of data that stays with its owners: of one project, or all that the caller sees. */
export default function DatasetList() {
  const { t } = useTexts('data');
  const me = useMe().data;
  const [project] = useProject();
  const columns: TableColumnsType<Dataset> = [
    {
      title: t('data:name'),
      key: 'name',
      render: (_, one) => (
        <Link to={`/data/${encodeURIComponent(one.id)}`}>{one.title || one.name}</Link>
      ),
    },
    { title: t('data:owner'), key: 'owner', render: (_, one) => one.organisation },
    {
      title: t('data:columns'),
      key: 'columns',
      align: 'right',
      className: 'number',
      render: (_, one) => one.columns.length,
    },
    {
      title: t('data:rows'),
      key: 'rows',
      align: 'right',
      className: 'number',
      render: (_, one) => one.rows,
    },
    {
      title: t('data:unit'),
      key: 'unit',
      render: (_, one) =>
        one.privacy ? t(`data:unit.${one.privacy.unit}`) : t('data:unit.none'),
    },
    {
      title: t('data:published'),
      key: 'created',
      render: (_, one) =>
        one.removed ? <Tag>{t('data:removed')}</Tag> : <Moment at={one.created} />,
    },
  ];
  const owner = me?.roles.includes('data-owner') || me?.roles.includes('organisation-admin');
  return (
    <PageFrame title={t('data:title')} lead={t('data:lead')}>
      <PagedTable<Dataset>
        label={t('data:title')}
        queryKey={['get', '/api/v1/datasets', 'paged', project]}
        load={async (cursor) => {
          const query = project ? { cursor, project } : { cursor };
          return (await http.GET('/api/v1/datasets', { params: { query } })).data!;
        }}
        columns={columns}
        rowKey={(one) => one.id}
        empty={
          <Empty
            title={t(project ? 'data:none.project' : 'data:none')}
            next={t(owner ? 'data:none.owner' : 'data:none.other')}
          />
        }
      />
    </PageFrame>
  );
}
