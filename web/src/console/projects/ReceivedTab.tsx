import { Alert, Flex, Tag, type TableColumnsType } from 'antd';
import { useState } from 'react';
import { Link } from 'react-router';
import { http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { PagedTable } from '../../shared/parts/PagedTable';
import { StateTag } from '../../shared/parts/StateTag';
import { Empty } from '../../shared/states/Empty';
import type { Project } from '../project';

type Received = Schemas['Received'];

/** What each party received in the project's jobs, by the centre's record. */
export function ReceivedTab({ project }: { project: Project }) {
  const { t, has } = useTexts('projects');
  const [unknown, say] = useState<string[]>([]);
  const load = async (cursor: string) => {
    const { data } = await http.GET('/api/v1/projects/{key}/received', {
      params: { path: { key: project.id }, query: { cursor } },
    });
    say(data!.unknown ?? []);
    return data!;
  };
  const columns: TableColumnsType<Received> = [
    { title: t('projects:party'), key: 'party', dataIndex: 'party' },
    {
      title: t('projects:job'),
      key: 'job',
      render: (_, one) => (
        <Link to={`/jobs/${encodeURIComponent(one.job)}`}>{one.name || one.job}</Link>
      ),
    },
    {
      title: t('projects:kind'),
      key: 'kind',
      render: (_, one) => (has(`words:kind.${one.kind}`) ? t(`words:kind.${one.kind}`) : one.kind),
    },
    { title: t('projects:state'), key: 'state', render: (_, one) => <StateTag state={one.state} /> },
    {
      title: t('projects:rounds'),
      key: 'rounds',
      align: 'right',
      className: 'number',
      render: (_, one) => one.rounds || '',
    },
    {
      title: t('projects:received.what'),
      key: 'what',
      render: (_, one) => (
        <Flex gap="small" wrap>
          {(one.models ?? []).map((each) => (
            <Link key={each} to={`/models/${encodeURIComponent(each)}`}>
              <code>{each}</code>
            </Link>
          ))}
          {[...(one.results ?? []), ...(one.handed_over ?? [])].map((each) => (
            <Tag key={each}>{each}</Tag>
          ))}
        </Flex>
      ),
    },
  ];
  return (
    <Flex vertical gap="middle">
      <Alert type="info" title={t('projects:received.hint')} />
      {unknown.length ? (
        <Alert
          type="warning"
          showIcon
          title={t('projects:received.unknown')}
          description={<ul>{unknown.map((each) => <li key={each}>{each}</li>)}</ul>}
        />
      ) : null}
      <PagedTable<Received>
        label={t('projects:received')}
        queryKey={['get', '/api/v1/projects/{key}/received', project.id]}
        load={load}
        columns={columns}
        rowKey={(one) => `${one.party}/${one.job}`}
        empty={<Empty title={t('projects:received.none')} />}
      />
    </Flex>
  );
}
