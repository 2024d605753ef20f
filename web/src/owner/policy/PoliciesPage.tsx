import { Table, Tag, type TableColumnsType } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Digest } from '../../shared/parts/Digest';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { api, type Schemas } from '../api';

type File = Schemas['PolicyFile'];

/** The policy files by which the agent decides where no person must. */
export default function PoliciesPage() {
  const { t } = useTexts('policies');
  const query = api.useQuery('get', '/api/policies');
  const columns: TableColumnsType<File> = [
    {
      title: t('policies:file'),
      key: 'name',
      render: (_, one) => (
        <Link to={`/policies/${encodeURIComponent(one.name)}`}>{one.name}</Link>
      ),
    },
    { title: t('policies:path'), key: 'path', render: (_, one) => <code>{one.path}</code> },
    {
      title: t('policies:state'),
      key: 'state',
      render: (_, one) => <PolicyState file={one} />,
    },
    {
      title: t('policies:version'),
      key: 'version',
      render: (_, one) => <Digest value={one.version} />,
    },
  ];
  return (
    <PageFrame title={t('policies:title')} lead={t('policies:lead')}>
      <Answer
        query={query}
        empty={{
          when: ({ files }) => !files.length,
          show: <Empty title={t('policies:none')} next={t('policies:none.next')} />,
        }}
      >
        {({ files }) => (
          <Table<File>
            size="small"
            columns={columns}
            dataSource={files}
            rowKey={(one) => one.name}
            pagination={false}
            scroll={{ x: 640 }}
          />
        )}
      </Answer>
    </PageFrame>
  );
}

/** Whether a file decides now, and whether it can be changed here. */
export function PolicyState({ file }: { file: File }) {
  const { t } = useTexts('policies');
  return (
    <>
      <Tag color={file.in_force ? 'success' : 'warning'}>
        {t(file.in_force ? 'policies:force' : 'policies:force.not')}
      </Tag>
      {file.writable ? null : <Tag>{t('policies:readonly')}</Tag>}
    </>
  );
}
