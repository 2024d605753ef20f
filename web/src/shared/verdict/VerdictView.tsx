import { Alert, Card, Flex, Table, Tag } from 'antd';
import { useTexts } from '../i18n';
import { Id } from '../parts/Id';
import { usePreferences } from '../preferences';
import { checksOf, type Check } from '../../verify/checks';
import { CHECK, INPUT, say, STATE, STATUS } from '../../verify/page/texts';
import type { AuthorEnd } from '../../verify/ends';
import type { HeldLeaf } from '../../verify/held';
import { shown } from '../../verify/plain';
import type { Status, Verdict } from '../../verify/verify';
import css from './Verdict.module.css';
import { told } from './told';

const KINDS: Record<Status, 'success' | 'warning' | 'error'> = {
  verified: 'success',
  unfinished: 'warning',
  broken: 'error',
  'consistent, unauthenticated': 'warning',
};
const COLOURS = { passed: 'success', failed: 'error', missing: 'warning', skipped: 'default' };
const MOST_REASONS = 200;

/** A verdict: each check with what it looked at, and what it found. */
export function VerdictView({ verdict }: { verdict: Verdict }) {
  const { t } = useTexts('record');
  const { language } = usePreferences();
  return (
    <Flex vertical gap="middle">
      <Alert
        type={KINDS[verdict.status]}
        showIcon
        data-testid="status"
        data-status={verdict.status}
        title={say(STATUS[verdict.status], language)}
      />
      <Card size="small" title={t('record:checks')}>
        <ul className={css['checks']}>
          {checksOf(verdict).map((one) => (
            <CheckLine key={one.id} check={one} />
          ))}
        </ul>
      </Card>
      {verdict.authors.length ? <Ends authors={verdict.authors} /> : null}
      {verdict.held.length ? <HeldLeaves held={verdict.held} /> : null}
    </Flex>
  );
}

function CheckLine({ check }: { check: Check }) {
  const { language } = usePreferences();
  const reasons = check.reasons.slice(0, MOST_REASONS);
  const left = check.reasons.length - reasons.length;
  const inputs = check.inputs.filter(([, value]) => value !== '');
  return (
    <li data-check={check.id} data-state={check.state}>
      <Tag color={COLOURS[check.state]}>{say(STATE[check.state], language)}</Tag>
      {say(CHECK[check.id], language)}
      {reasons.length ? (
        <ul>
          {reasons.map((one, at) => (
            <li key={at}>{told(one, language)}</li>
          ))}
          {left > 0 ? <li>+ {left}</li> : null}
        </ul>
      ) : null}
      {inputs.length ? (
        <dl className={css['inputs']}>
          {inputs.map(([name, value]) => (
            <InputLine key={name} name={say(INPUT[name], language)} value={value} />
          ))}
        </dl>
      ) : null}
    </li>
  );
}

function InputLine({ name, value }: { name: string; value: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>
        <code>{value}</code>
      </dd>
    </>
  );
}

function Ends({ authors }: { authors: readonly AuthorEnd[] }) {
  const { t } = useTexts('record');
  return (
    <Card size="small" title={t('record:ends')}>
      <Table<AuthorEnd>
        size="small"
        pagination={false}
        rowKey={(one) => `${one.author} ${one.key}`}
        dataSource={authors}
        columns={[
          { title: t('record:author'), key: 'author', render: (_, one) => shown(one.author) },
          {
            title: t('record:leaves'),
            key: 'count',
            align: 'right',
            className: 'number',
            render: (_, one) => String(one.count),
          },
          {
            title: t('record:end'),
            key: 'end',
            render: (_, one) =>
              t(`record:end.${one.late ? 'late' : one.signed ? 'signed' : 'word'}`),
          },
        ]}
      />
    </Card>
  );
}

function HeldLeaves({ held }: { held: readonly HeldLeaf[] }) {
  const { t } = useTexts('record');
  const { language } = usePreferences();
  return (
    <Card size="small" title={t('record:input.held')}>
      <Table<HeldLeaf>
        size="small"
        pagination={false}
        rowKey={(one) => one.hash}
        dataSource={held}
        scroll={{ x: 'max-content' }}
        columns={[
          { title: t('record:author'), key: 'author', dataIndex: 'author' },
          { title: t('record:kind'), key: 'kind', dataIndex: 'kind' },
          { title: t('record:hash'), key: 'hash', render: (_, one) => <Id value={one.hash} /> },
          {
            title: t('record:standing'),
            key: 'standing',
            render: (_, one) => t(`record:standing.${one.standing.replaceAll(' ', '-')}`),
          },
          {
            title: t('record:why'),
            key: 'why',
            render: (_, one) => (one.reason ? told(one.reason, language) : ''),
          },
        ]}
      />
    </Card>
  );
}
