import { Alert, Button, Flex, Form, Input } from 'antd';
import { money } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { useNow } from '../../shared/parts/Moment';
import { usePreferences } from '../../shared/preferences';
import { decimalsOf } from '../../shared/revenue/currencies';
import { Failed } from '../../shared/states/Failed';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { Section } from '../parts/Section';
import { useMay } from '../session';
import { agrees, waysOf } from './waiting';

type Shown = Schemas['OwnSettlement'];
type Props = { shown: Shown; project: string };
type Payment = Shown['payments'][number];

const STALE = [
  '/api/revenue/{project}/settlements',
  '/api/revenue/{project}/settlements/{settlement}',
  '/api/activity',
];
const LINE = 200;

/** What this organisation signs about a settlement, by who may. */
export function Deciding({ shown, project }: Props) {
  const { t } = useTexts('revenue');
  const admin = useMay('owner-admin');
  const ways = waysOf(shown, useNow());
  const any =
    ways.approve || ways.dispute || ways.withdraw || ways.pay.length > 0 || ways.confirm.length > 0;
  return (
    <Section title={t('revenue:own.decision')}>
      <Flex vertical gap="middle">
        {any ? null : <p>{t('revenue:own.nothing')}</p>}
        {any && !admin ? <p>{t('revenue:own.role')}</p> : null}
        {admin && ways.approve && agrees(shown) ? <Approve shown={shown} project={project} /> : null}
        {admin && ways.dispute ? <Dispute shown={shown} project={project} /> : null}
        {admin && ways.withdraw ? <Withdraw shown={shown} project={project} /> : null}
        {admin
          ? ways.pay.map((one) => (
              <Pay key={one.organisation} shown={shown} project={project} {...one} />
            ))
          : null}
        {admin
          ? ways.confirm.map((one) => (
              <Confirm key={one.reference} shown={shown} project={project} payment={one} />
            ))
          : null}
      </Flex>
    </Section>
  );
}

function useAmount(shown: Shown): (value: number) => string {
  const { language } = usePreferences();
  return (value) => money(value, decimalsOf(shown.currency), shown.currency, language);
}

function pathOf({ shown, project }: Props) {
  return { path: { project, settlement: shown.row.id } };
}

/** Signs exactly the amounts above: their digest is what is sent. */
function Approve(given: Props) {
  const { t } = useTexts('revenue');
  const approve = useDeed(
    () =>
      http.POST('/api/revenue/{project}/settlements/{settlement}/approve', {
        params: pathOf(given),
        body: { digest: given.shown.digest },
      }),
    ...STALE,
  );
  return (
    <div>
      <Alert type="info" showIcon title={t('revenue:own.approve.hint')} />
      {approve.isError ? <Failed error={approve.error} /> : null}
      <Button
        type="primary"
        style={{ marginTop: 8 }}
        loading={approve.isPending}
        onClick={() => approve.mutate(undefined)}
      >
        {t('revenue:own.approve')}
      </Button>
    </div>
  );
}

function Dispute(given: Props) {
  const { t } = useTexts('revenue');
  const dispute = useDeed(
    (reason: string) =>
      http.POST('/api/revenue/{project}/settlements/{settlement}/dispute', {
        params: pathOf(given),
        body: { reason },
      }),
    ...STALE,
  );
  return (
    <Form<{ reason: string }>
      name="dispute"
      layout="vertical"
      requiredMark={false}
      onFinish={({ reason }) => dispute.mutate(reason.trim())}
      style={{ maxWidth: 560 }}
    >
      <Form.Item
        name="reason"
        label={t('revenue:own.dispute.why')}
        extra={t('revenue:own.dispute.hint')}
        rules={[{ required: true, whitespace: true, message: t('revenue:own.dispute.missing') }]}
      >
        <Input maxLength={LINE} />
      </Form.Item>
      {dispute.isError ? <Failed error={dispute.error} /> : null}
      <Button danger htmlType="submit" loading={dispute.isPending}>
        {t('revenue:own.dispute')}
      </Button>
    </Form>
  );
}

function Withdraw(given: Props) {
  const { t } = useTexts('revenue');
  const withdraw = useDeed(
    () =>
      http.POST('/api/revenue/{project}/settlements/{settlement}/withdraw', {
        params: pathOf(given),
      }),
    ...STALE,
  );
  return (
    <div>
      <p>{t('revenue:own.withdraw.hint')}</p>
      {withdraw.isError ? <Failed error={withdraw.error} /> : null}
      <Button loading={withdraw.isPending} onClick={() => withdraw.mutate(undefined)}>
        {t('revenue:own.withdraw')}
      </Button>
    </div>
  );
}

/** Says that what is left was paid outside of the platform. */
function Pay(given: Props & { organisation: string; amount: number }) {
  const { t } = useTexts('revenue');
  const { organisation, amount } = given;
  const facts = { who: organisation, amount: useAmount(given.shown)(amount) };
  const pay = useDeed(
    (reference: string) =>
      http.POST('/api/revenue/{project}/settlements/{settlement}/pay', {
        params: pathOf(given),
        body: { payee: organisation, amount, reference },
      }),
    ...STALE,
  );
  return (
    <Form<{ reference: string }>
      name={`pay-${organisation}`}
      layout="vertical"
      requiredMark={false}
      onFinish={({ reference }) => pay.mutate(reference.trim())}
      style={{ maxWidth: 560 }}
    >
      <Form.Item
        name="reference"
        label={t('revenue:own.pay.reference', facts)}
        extra={t('revenue:own.pay.hint')}
        rules={[{ required: true, whitespace: true, message: t('revenue:own.pay.missing') }]}
      >
        <Input maxLength={LINE} />
      </Form.Item>
      {pay.isError ? <Failed error={pay.error} /> : null}
      <Button htmlType="submit" loading={pay.isPending}>
        {t('revenue:own.pay', facts)}
      </Button>
    </Form>
  );
}

function Confirm(given: Props & { payment: Payment }) {
  const { t } = useTexts('revenue');
  const { payer, amount, reference } = given.payment;
  const facts = { who: payer, amount: useAmount(given.shown)(amount) };
  const confirm = useDeed(
    () =>
      http.POST('/api/revenue/{project}/settlements/{settlement}/confirm', {
        params: pathOf(given),
        body: { payer, reference },
      }),
    ...STALE,
  );
  return (
    <div>
      <p>
        {t('revenue:own.confirm.hint', facts)} <Id value={reference} />
      </p>
      {confirm.isError ? <Failed error={confirm.error} /> : null}
      <Button type="primary" loading={confirm.isPending} onClick={() => confirm.mutate(undefined)}>
        {t('revenue:own.confirm', facts)}
      </Button>
    </div>
  );
}
