import { Button, type TableColumnsType } from 'antd';
import { useState } from 'react';
import { Link } from 'react-router';
import { http } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { PagedTable } from '../../shared/parts/PagedTable';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Empty } from '../../shared/states/Empty';
import type { Project } from '../project';
import { useMe } from '../session';
import { NewProject } from './NewProject';
import { ProjectState } from './ProjectState';

const PLANS = new Set(['organisation-admin', 'data-scientist']);

/** The projects that the caller's organisation takes part in, or is invited to. */
export default function ProjectList() {
  const { t } = useTexts('projects');
  const me = useMe().data;
  const [adding, add] = useState(false);
  const plans = me?.roles.some((role) => PLANS.has(role)) ?? false;
  const create = plans ? (
    <Button type="primary" onClick={() => add(true)}>
      {t('projects:new')}
    </Button>
  ) : null;
  const columns: TableColumnsType<Project> = [
    {
      title: t('projects:name'),
      key: 'name',
      render: (_, one) => <Link to={`/projects/${encodeURIComponent(one.id)}`}>{one.name}</Link>,
    },
    { title: t('projects:purpose'), key: 'purpose', dataIndex: 'purpose' },
    { title: t('projects:founder'), key: 'founder', dataIndex: 'organisation' },
    {
      title: t('projects:members'),
      key: 'members',
      align: 'right',
      className: 'number',
      render: (_, one) => one.members.filter((each) => each.state === 'active').length,
    },
    { title: t('projects:state'), key: 'state', render: (_, one) => <ProjectState project={one} /> },
    {
      title: t('projects:created'),
      key: 'created',
      render: (_, one) => <Moment at={one.created} />,
    },
  ];
  return (
    <PageFrame title={t('projects:title')} lead={t('projects:lead')} extra={create}>
      <PagedTable<Project>
        label={t('projects:title')}
        queryKey={['get', '/api/v1/projects', 'paged']}
        load={async (cursor) =>
          (await http.GET('/api/v1/projects', { params: { query: { cursor } } })).data!
        }
        columns={columns}
        rowKey={(one) => one.id}
        empty={
          <Empty title={t('projects:none')} next={t('projects:none.next')} action={create} />
        }
      />
      {plans ? <NewProject open={adding} close={() => add(false)} /> : null}
    </PageFrame>
  );
}
