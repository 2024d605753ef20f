import { Card, Descriptions, Flex, Tag } from 'antd';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import css from './Agents.module.css';
import { LinkState, useParties } from './LinkState';
import { LinkSteps } from './LinkSteps';

type Agent = Schemas['Agent'];

/** The agents of an organisation: the one that is enrolled now, and those before it. */
export function AgentCards({ organisation }: { organisation: string }) {
  const { t } = useTexts('organisations');
  const agents = api.useQuery('get', '/api/v1/agents', { params: { query: { limit: 200 } } });
  return (
    <Answer query={agents}>
      {({ items }) => {
        const own = items.filter((one) => one.organisation === organisation);
        const now = own.filter((one) => one.revoked === null || one.revoked === undefined);
        if (!now.length) {
          return (
            <Card size="small" title={t('organisations:agent')}>
              <Empty
                title={t('organisations:agent.none')}
                next={t('organisations:agent.none.next')}
              />
            </Card>
          );
        }
        return (
          <Flex vertical gap="middle">
            {now.map((one) => (
              <AgentCard key={one.id} agent={one} />
            ))}
          </Flex>
        );
      }}
    </Answer>
  );
}

function AgentCard({ agent }: { agent: Agent }) {
  const { t } = useTexts('organisations');
  const parties = useParties().data?.items;
  const party = parties?.find((one) => one.party === agent.party);
  return (
    <Card
      size="small"
      title={t('organisations:agent')}
      extra={<LinkState organisation={agent.party} />}
    >
      <Descriptions
        size="small"
        column={{ xs: 1, md: 2 }}
        items={[
          { key: 'id', label: t('organisations:id'), children: <Id value={agent.id} /> },
          {
            key: 'enrolled',
            label: t('organisations:enrolled'),
            children: <Moment at={agent.created} />,
          },
          {
            key: 'version',
            label: t('organisations:version'),
            children: party?.version || t('organisations:version.untold'),
          },
          {
            key: 'engines',
            label: t('organisations:engines'),
            children: Object.keys(party?.engines ?? {}).length
              ? Object.entries(party?.engines ?? {}).map(([name, version]) => (
                  <Tag key={name}>
                    {name} {version}
                  </Tag>
                ))
              : t('organisations:engines.none'),
          },
          {
            key: 'key',
            label: t('organisations:key'),
            span: 'filled',
            children: <Id value={agent.key} />,
          },
        ]}
      />
      <h2 className={css['heading']}>{t('organisations:link')}</h2>
      <LinkSteps agent={agent} />
    </Card>
  );
}
