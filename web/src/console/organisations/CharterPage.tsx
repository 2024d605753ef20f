import { Alert, Card, Descriptions, Flex, Tag, Typography } from 'antd';
import { api, type Schemas } from '../../api/client';
import { asProblem } from '../../api/problem';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { PageFrame } from '../../shared/parts/PageFrame';
import { WideTable } from '../../shared/parts/WideTable';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { factsOf, type Member } from './charter';
import css from './Charter.module.css';

type Shown = Schemas['CharterShown'];
const NONE = new Set(['not_found']);

/** Who the members are: the adopted charter, and the one that waits for signatures. */
export default function CharterPage() {
  const { t } = useTexts('organisations');
  const adopted = api.useQuery('get', '/api/v1/charter');
  const next = api.useQuery('get', '/api/v1/charter/candidate');
  const none = adopted.isError && NONE.has(asProblem(adopted.error).code);
  return (
    <PageFrame title={t('organisations:charter')} lead={t('organisations:charter.lead')}>
      <Flex vertical gap="middle">
        <Alert
          type="warning"
          showIcon
          title={t('organisations:charter.claim')}
          description={t('organisations:charter.claim.hint')}
        />
        <Candidate query={next} />
        {none ? (
          <Empty
            title={t('organisations:charter.none')}
            next={t('organisations:charter.none.next')}
          />
        ) : (
          <Answer query={adopted}>
            {(shown) => <Version shown={shown} title={t('organisations:charter.adopted')} />}
          </Answer>
        )}
      </Flex>
    </PageFrame>
  );
}

type Query = { data: Shown | undefined; error: unknown; isPending: boolean };

/** The version that waits for signatures, if there is one. */
function Candidate({ query }: { query: Query }) {
  const { t } = useTexts('organisations');
  if (query.data) return <Version shown={query.data} title={t('organisations:charter.waiting')} />;
  if (query.isPending) return <Loading />;
  return NONE.has(asProblem(query.error).code) ? null : <Failed error={query.error} />;
}

function Version({ shown, title }: { shown: Shown; title: string }) {
  const { t } = useTexts('organisations');
  const facts = factsOf(shown);
  return (
    <Card
      size="small"
      title={title}
      extra={
        <Tag color={facts.signed >= facts.needed ? 'success' : 'warning'}>
          {t('organisations:charter.signed', { signed: facts.signed, needed: facts.needed })}
        </Tag>
      }
    >
      <Flex vertical gap="middle">
        <div>
          <Typography.Text type="secondary">{t('organisations:charter.words')}</Typography.Text>
          <p className={css['words']} lang="en">
            {shown.words}
          </p>
          <p className={css['digits']}>{shown.digits}</p>
        </div>
        <Descriptions
          size="small"
          column={1}
          items={[
            {
              key: 'version',
              label: t('organisations:charter.version'),
              children: facts.version,
            },
            {
              key: 'origin',
              label: t('organisations:charter.origin'),
              children: <Id value={facts.origin} />,
            },
            {
              key: 'digest',
              label: t('organisations:charter.digest'),
              children: <Id value={shown.digest} />,
            },
            {
              key: 'continued',
              label: t('organisations:charter.continued'),
              children: facts.continuations,
            },
          ]}
        />
        <Members members={facts.members} />
      </Flex>
    </Card>
  );
}

function Members({ members }: { members: Member[] }) {
  const { t } = useTexts('organisations');
  return (
    <WideTable<Member>
      size="small"
      pagination={false}
      rowKey={(one) => one.organisation}
      dataSource={members}
      columns={[
        { title: t('organisations:name'), key: 'name', render: (_, one) => one.name },
        {
          title: t('organisations:id'),
          key: 'id',
          render: (_, one) => <Id value={one.organisation} />,
        },
        { title: t('organisations:key'), key: 'key', render: (_, one) => <Id value={one.key} /> },
        {
          title: t('organisations:charter.signature'),
          key: 'signed',
          render: (_, one) => (
            <Tag color={one.signed ? 'success' : 'default'}>
              {t(one.signed ? 'organisations:charter.has' : 'organisations:charter.hasnot')}
            </Tag>
          ),
        },
      ]}
    />
  );
}
