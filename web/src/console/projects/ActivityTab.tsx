import type { TableColumnsType } from 'antd';
import { Link } from 'react-router';
import { http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { PagedTable } from '../../shared/parts/PagedTable';
import { Empty } from '../../shared/states/Empty';
import type { Project } from '../project';

type Activity = Schemas['Activity'];

/** Who did what in the project, by the ledger, newest first. */
export function ActivityTab({ project }: { project: Project }) {
  const { t, has } = useTexts('projects');
  const load = async (cursor: string) => {
    const query = cursor ? { before: Number(cursor) } : {};
    const { data } = await http.GET('/api/v1/projects/{key}/activity', {
      params: { path: { key: project.id }, query },
    });
    return { items: data!.items, next: data!.next ? String(data!.next) : '' };
  };
  const columns: TableColumnsType<Activity> = [
    { title: t('projects:at'), key: 'at', render: (_, one) => <Moment at={one.at} /> },
    {
      title: t('projects:deed'),
      key: 'kind',
      render: (_, one) =>
        has(`projects:entry.${one.kind}`) ? t(`projects:entry.${one.kind}`) : one.kind,
    },
    {
      title: t('projects:by'),
      key: 'by',
      render: (_, one) => one.name || one.by || one.organisation || t('projects:operator'),
    },
    {
      title: t('projects:organisation'),
      key: 'organisation',
      render: (_, one) => one.organisation || t('projects:operator'),
    },
    {
      title: t('projects:job'),
      key: 'job',
      render: (_, one) =>
        one.job ? <Link to={`/jobs/${encodeURIComponent(one.job)}`}>{one.job}</Link> : null,
    },
    {
      title: t('projects:entry'),
      key: 'index',
      align: 'right',
      className: 'number',
      render: (_, one) => <Link to={`/record?entry=${one.index}`}>{one.index}</Link>,
    },
  ];
  return (
    <PagedTable<Activity>
      label={t('projects:activity')}
      queryKey={['get', '/api/v1/projects/{key}/activity', project.id]}
      load={load}
      columns={columns}
      rowKey={(one) => String(one.index)}
      empty={<Empty title={t('projects:activity.none')} />}
    />
  );
}
