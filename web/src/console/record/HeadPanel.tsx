import { Alert, Card, Descriptions, Flex, Tag } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Moment } from '../../shared/parts/Moment';
import { Answer } from '../../shared/states/Answer';
import type { Schemas } from '../../api/client';
import type { HeadFacts } from './head';
import { useHead } from './useHead';

/** The ledger's head: its size, who cosigned it, and whether the log is held. */
export function HeadPanel() {
  return (
    <Answer query={useHead()}>
      {({ head, facts }) => (
        <Flex vertical gap="small">
          <Held head={head} />
          <Facts facts={facts} />
        </Flex>
      )}
    </Answer>
  );
}

function said(facts: Schemas['Head']['held'], name: string): string {
  const value = facts?.[name];
  return typeof value === 'string' ? value : '';
}

function Held({ head }: { head: Schemas['Head'] }) {
  const { t } = useTexts('record');
  const at = Number(head.restored?.['at']) || 0;
  return (
    <>
      {head.held ? (
        <Alert
          type="error"
          showIcon
          title={t('record:held')}
          description={
            <>
              <p>{said(head.held, 'message')}</p>
              <p>{said(head.held, 'hint')}</p>
            </>
          }
        />
      ) : null}
      {head.restored ? (
        <Alert
          type="warning"
          showIcon
          title={t('record:restored')}
          description={
            <>
              {t('record:restored.hint')} {at ? <Moment at={at} /> : null}
            </>
          }
        />
      ) : null}
    </>
  );
}

function Facts({ facts }: { facts: HeadFacts }) {
  const { t } = useTexts('record');
  const { signed } = facts;
  const state = signed === null ? 'unknown' : signed ? 'holds' : 'fails';
  const colour = { unknown: 'default', holds: 'success', fails: 'error' }[state];
  return (
    <Card size="small" title={t('record:head')}>
      <Descriptions
        size="small"
        column={{ xs: 1, lg: 2 }}
        items={[
          { key: 'origin', label: t('record:origin'), children: <Id value={facts.origin} /> },
          {
            key: 'size',
            label: t('record:size'),
            children: <span className="number">{facts.size}</span>,
          },
          {
            key: 'root',
            label: t('record:root'),
            span: 'filled',
            children: <Id value={facts.root} />,
          },
          {
            key: 'signed',
            label: t('record:signed'),
            children: <Tag color={colour}>{t(`record:signed.${state}`)}</Tag>,
          },
          {
            key: 'cosigners',
            label: t('record:cosigners'),
            children: facts.cosigners.length
              ? t('record:cosigners.of', {
                  names: facts.cosigners.join(', '),
                  count: facts.cosigners.length,
                  members: facts.members,
                })
              : t('record:cosigners.none'),
          },
        ]}
      />
    </Card>
  );
}
