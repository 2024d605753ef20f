import { Alert, Flex, Table, Tag, type TableColumnsType } from 'antd';
import { Link } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import type { Schemas } from '../api';
import { useRequestWords } from '../inbox/words';

type Example = Schemas['TestedExample'];
type Changed = Schemas['ChangedRequest'];

/** What a text would decide: about the examples, and otherwise than now about the inbox. */
export function Trial({ trial }: { trial: Schemas['PolicyTrial'] }) {
  const { t } = useTexts('policies');
  if (trial.problem) {
    return (
      <Alert
        type="error"
        showIcon
        title={trial.problem.message}
        description={
          <>
            <p>{trial.problem.hint}</p>
            <p>
              {t('common:failed.code')} <code>{trial.problem.code}</code>
            </p>
          </>
        }
      />
    );
  }
  return (
    <Flex vertical gap="middle">
      <Alert type="success" showIcon title={t('policies:valid')} />
      {trial.tests.length ? <Examples tests={trial.tests} /> : null}
      <p>{t('policies:tried', { count: trial.tried })}</p>
      {trial.requests.length ? (
        <Requests requests={trial.requests} />
      ) : (
        <p>{t('policies:unchanged')}</p>
      )}
    </Flex>
  );
}

function Examples({ tests }: { tests: readonly Example[] }) {
  const { t } = useTexts('policies', 'inbox');
  const words = useRequestWords();
  const columns: TableColumnsType<Example> = [
    { title: t('policies:example'), dataIndex: 'name' },
    {
      title: t('policies:expected'),
      key: 'expected',
      render: (_, one) => words.effect(one.expected),
    },
    { title: t('policies:decides'), key: 'effect', render: (_, one) => words.effect(one.effect) },
    { title: t('policies:by'), key: 'by', render: (_, one) => one.by.join(', ') },
    {
      title: t('policies:state'),
      key: 'ok',
      render: (_, one) => (
        <Tag color={one.ok ? 'success' : 'error'}>
          {t(one.ok ? 'policies:example.ok' : 'policies:example.wrong')}
        </Tag>
      ),
    },
  ];
  return (
    <Table<Example>
      size="small"
      columns={columns}
      dataSource={tests}
      rowKey={(one) => one.name}
      pagination={false}
      scroll={{ x: 640 }}
    />
  );
}

function Requests({ requests }: { requests: readonly Changed[] }) {
  const { t } = useTexts('policies', 'inbox');
  const words = useRequestWords();
  const columns: TableColumnsType<Changed> = [
    {
      title: t('policies:request'),
      key: 'request',
      render: (_, one) => <Link to={`/inbox/${one.item}`}>{one.purpose || one.job}</Link>,
    },
    { title: t('policies:submitter'), dataIndex: 'submitter' },
    { title: t('policies:before'), key: 'before', render: (_, one) => words.effect(one.before) },
    { title: t('policies:after'), key: 'after', render: (_, one) => words.effect(one.after) },
    { title: t('policies:by'), key: 'by', render: (_, one) => one.by.join(', ') },
    { title: t('policies:when'), key: 'at', render: (_, one) => <Moment at={one.at} /> },
  ];
  return (
    <Table<Changed>
      size="small"
      columns={columns}
      dataSource={requests}
      rowKey={(one) => one.item}
      pagination={false}
      scroll={{ x: 760 }}
    />
  );
}
