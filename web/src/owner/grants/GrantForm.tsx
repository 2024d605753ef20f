import { AutoComplete, Button, Checkbox, Form, Input, InputNumber, Select } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { api, type Schemas } from '../api';
import { useRequestWords } from '../inbox/words';
import type { Filled } from './terms';

type Initial = { [K in keyof Filled]?: Filled[K] | undefined };
type Props = {
  choices: Schemas['Choices'];
  datasets: readonly string[];
  initial: Initial;
  send: (form: Filled) => void;
  pending: boolean;
  error: unknown;
};

/** What a grant allows; what is sensitive, unlimited or automatic is so only if somebody says it. */
export function GrantForm({ choices, datasets, initial, send, pending, error }: Props) {
  const { t } = useTexts('holdings');
  const [form] = Form.useForm<Filled>();
  const needed = [{ required: true, message: t('holdings:missing') }];
  const only = datasets.length === 1 ? datasets[0] : undefined;
  const lone = choices.projects.length === 1 ? choices.projects[0]?.id : undefined;
  return (
    <Form<Filled>
      form={form}
      name="grant"
      layout="vertical"
      requiredMark={false}
      initialValues={{
        columns: [],
        days: choices.days,
        ...initial,
        dataset: initial.dataset ?? only,
        project: initial.project ?? lone,
      }}
      onFinish={send}
      style={{ maxWidth: 640 }}
    >
      <Form.Item name="dataset" label={t('holdings:dataset')} rules={needed}>
        <Select<string>
          onChange={() => form.setFieldValue('columns', [])}
          options={datasets.map((one) => ({ value: one, label: one }))}
        />
      </Form.Item>
      <Form.Item
        name="project"
        label={t('holdings:project')}
        extra={t('holdings:project.hint')}
        rules={needed}
      >
        <AutoComplete
          options={choices.projects.map((one) => ({ value: one.id, label: <Offered known={one} /> }))}
        />
      </Form.Item>
      <ColumnsField />
      <Form.Item name="days" label={t('holdings:days')} rules={needed}>
        <InputNumber min={1} max={3650} precision={0} />
      </Form.Item>
      <Limits />
      <Scope choices={choices} />
      <Form.Item name="bundles" valuePropName="checked">
        <Checkbox>{t('holdings:bundles')}</Checkbox>
      </Form.Item>
      <Form.Item
        name="digests"
        label={t('holdings:digests')}
        extra={t('holdings:digests.hint')}
        rules={[{ pattern: /^\s*([0-9a-f]{64}\s*)*$/, message: t('holdings:digests.wrong') }]}
      >
        <Input.TextArea rows={1} spellCheck={false} />
      </Form.Item>
      <Leaving />
      <Form.Item name="automatic" valuePropName="checked">
        <Checkbox>{t('holdings:automatic')}</Checkbox>
      </Form.Item>
      {error ? (
        <Form.Item>
          <Failed error={error} />
        </Form.Item>
      ) : null}
      <Button type="primary" htmlType="submit" loading={pending}>
        {t('holdings:go')}
      </Button>
    </Form>
  );
}

/** A project by its whole id; what it is about is said by the centre, and said to be. */
function Offered({ known }: { known: Schemas['KnownProject'] }) {
  const { t } = useTexts('holdings');
  const { id, job, submitter } = known;
  return (
    <>
      <code>{id}</code>
      {job ? (
        <>
          <br />
          <small>{t('holdings:project.told', { job, submitter })}</small>
        </>
      ) : null}
    </>
  );
}

/** The columns of the chosen dataset: sensitive ones say so. */
function ColumnsField() {
  const { t } = useTexts('holdings');
  const name = Form.useWatch<string | undefined>('dataset') ?? '';
  const shown = api.useQuery(
    'get',
    '/api/datasets/{name}',
    { params: { path: { name } } },
    { enabled: Boolean(name) },
  );
  const columns = shown.data?.dataset.columns ?? [];
  return (
    <Form.Item
      name="columns"
      label={t('holdings:columns')}
      extra={shown.isError ? <Failed error={shown.error} /> : t('holdings:columns.hint')}
      rules={[{ required: true, message: t('holdings:columns.missing') }]}
    >
      <Select<string[]>
        mode="multiple"
        loading={shown.isFetching}
        options={columns.map((one) => ({
          value: one.name,
          label: one.sensitive ? `${one.name} (${t('holdings:sensitive.yes')})` : one.name,
        }))}
      />
    </Form.Item>
  );
}

/** Most rows that a grant can name (`secureflow.domain.grants.SealedRows`). */
const MAX_LEAVING = 1 << 20;
const MAX_TREES = 10_000;
const LIMITS = [
  ['uses', 0],
  ['epsilon', undefined],
  ['epsilon_per_job', undefined],
  ['min_group', 0],
] as const;

function Limits() {
  const { t } = useTexts('holdings');
  return LIMITS.map(([name, precision]) => (
    <Form.Item key={name} name={name} label={t(`holdings:term.${name}`)} extra={t('holdings:empty')}>
      <InputNumber min={0} {...(precision === undefined ? {} : { precision })} />
    </Form.Item>
  ));
}

/** What leaves beyond sums: rows, and to what (asked only once there are some); trees of this party. */
function Leaving() {
  const { t } = useTexts('holdings');
  const rows = Form.useWatch<number | null | undefined>('leaving');
  return (
    <>
      <Form.Item name="leaving" label={t('holdings:term.validation')} extra={t('holdings:leaving.hint')}>
        <InputNumber min={1} max={MAX_LEAVING} precision={0} />
      </Form.Item>
      {rows ? (
        <Form.Item name="simulated" valuePropName="checked" extra={t('holdings:leaving.simulated.hint')}>
          <Checkbox>{t('holdings:leaving.simulated')}</Checkbox>
        </Form.Item>
      ) : null}
      <Form.Item name="trees" label={t('holdings:term.own_trees')} extra={t('holdings:trees.hint')}>
        <InputNumber min={1} max={MAX_TREES} precision={0} />
      </Form.Item>
    </>
  );
}

function Scope({ choices }: { choices: Schemas['Choices'] }) {
  const { t, has } = useTexts('holdings');
  const words = useRequestWords();
  const protection = (one: string) =>
    has(`words:protection.${one}`) ? t(`words:protection.${one}`) : one;
  return (
    <>
      <Form.Item name="kinds" label={t('holdings:term.kinds')} extra={t('holdings:empty')}>
        <Select<string[]>
          mode="multiple"
          options={choices.kinds.map((one) => ({ value: one, label: words.kind(one) }))}
        />
      </Form.Item>
      <Form.Item
        name="protections"
        label={t('holdings:term.protections')}
        extra={t('holdings:empty')}
      >
        <Select<string[]>
          mode="multiple"
          options={choices.protections.map((one) => ({ value: one, label: protection(one) }))}
        />
      </Form.Item>
      <Form.Item name="purposes" label={t('holdings:term.purposes')} extra={t('holdings:line')}>
        <Input.TextArea rows={1} />
      </Form.Item>
      <Form.Item name="parties" label={t('holdings:term.parties')} extra={t('holdings:line')}>
        <Input.TextArea rows={1} />
      </Form.Item>
    </>
  );
}
