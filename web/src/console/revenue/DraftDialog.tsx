import { Checkbox, Flex, Form, Input, InputNumber, Select } from 'antd';
import { http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { FormDialog } from '../../shared/parts/FormDialog';
import { termsOf } from '../../shared/revenue/agreement';
import { KINDS } from '../jobs/words';
import type { Project } from '../project';
import { useMe } from '../session';
import { useDeed } from '../settings/deeds';
import { begun, highestFloor, MEASURES, MOST, sent, UNSCORED, type Drafted } from './drafting';

const STALE = ['/api/v1/projects/{key}/revenue'];

type Props = {
  project: Project;
  standing: Schemas['AgreementVersion'] | null;
  open: boolean;
  close: () => void;
};

/** Drafts the next version of a project's agreement: members read and sign it at their agents. */
export function DraftDialog({ project, standing, open, close }: Props) {
  const { t } = useTexts('revenue');
  const [form] = Form.useForm<Drafted>();
  const own = useMe().data?.organisation ?? '';
  const members = project.members
    .filter((one) => one.state === 'active')
    .map((one) => one.organisation);
  const draft = useDeed(async (drafted: Drafted) => {
    const asked = { params: { path: { key: project.id } }, body: sent(drafted) };
    return (await http.POST('/api/v1/projects/{key}/revenue', asked)).data!;
  }, ...STALE);
  const begins = begun(standing ? termsOf(standing.agreement) : null, own, members);
  const required = [{ required: true, message: t('revenue:draft.missing') }];
  const number = (name: keyof Drafted, most: number, extra?: string, step = 1) => (
    <Form.Item
      name={name}
      label={t(`revenue:draft.${name}`)}
      rules={required}
      {...(extra ? { extra } : {})}
    >
      <InputNumber min={0} max={most} step={step} precision={step < 1 ? 2 : 0} />
    </Form.Item>
  );
  const one = (name: 'payer' | 'rounding') => (
    <Form.Item name={name} label={t(`revenue:draft.${name}`)} rules={required}>
      <Select options={members.map((value) => ({ value, label: value }))} />
    </Form.Item>
  );
  return (
    <FormDialog
      open={open}
      close={close}
      name="agreement"
      title={t('revenue:draft')}
      ok={t('revenue:draft.do')}
      cancel={t('revenue:cancel')}
      form={form}
      sending={draft}
      send={(drafted) => draft.mutate({ ...begins, ...drafted }, { onSuccess: close })}
      begins={begins}
    >
      <p>{t('revenue:draft.hint')}</p>
      {one('payer')}
      {number('perJob', MOST.amount, t('revenue:draft.perJob.hint'))}
      <Form.Item name="entered" valuePropName="checked">
        <Checkbox>{t('revenue:draft.entered')}</Checkbox>
      </Form.Item>
      <Form.Item
        name="currency"
        label={t('revenue:draft.currency')}
        rules={[{ required: true, pattern: /^[A-Z]{3}$/, message: t('revenue:draft.currency.form') }]}
      >
        <Input maxLength={3} />
      </Form.Item>
      <p>{t('revenue:draft.weights')}</p>
      <Flex wrap gap="middle">
        {MEASURES.map((name) => (
          <Form.Item key={name} name={name} label={t(`revenue:measure.${name}`)} rules={required}>
            <InputNumber min={0} max={MOST.weight} precision={0} />
          </Form.Item>
        ))}
      </Flex>
      <Form.Item name="unscored" label={t('revenue:term.unscored')} rules={required}>
        <Select
          options={UNSCORED.map((value) => ({ value, label: t(`revenue:unscored.${value}`) }))}
        />
      </Form.Item>
      {number('floor', highestFloor(members.length), t('revenue:draft.floor.hint'), 0.01)}
      {one('rounding')}
      {number('windowDays', MOST.days)}
      <Form.Item name="kinds" label={t('revenue:term.kinds')}>
        <Select
          mode="multiple"
          allowClear
          placeholder={t('revenue:kinds.any')}
          options={KINDS.map((value) => ({ value, label: t(`words:kind.${value}`) }))}
        />
      </Form.Item>
      <p>{t('revenue:draft.quality')}</p>
      <Flex wrap gap="middle">
        {members.map((name) => (
          <Form.Item key={name} name={['quality', name]} label={name} rules={required}>
            <InputNumber min={0} max={MOST.quality} precision={0} addonAfter="%" />
          </Form.Item>
        ))}
      </Flex>
    </FormDialog>
  );
}
