import { Button, Checkbox, Form, Input, Popconfirm, Select } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { Section } from '../parts/Section';
import { ROLES, usePeopleWords } from './words';

type Person = Schemas['PersonRow'];
type Roles = Schemas['GivenRoles'];
const STALE = ['/api/people', '/api/people/{name}'];

/** Other roles, another initial password, and shutting the account. */
export function PersonDeeds({ person }: { person: Person }) {
  return (
    <>
      <RolesOf person={person} />
      <Shut person={person} />
      <ResetOf person={person} />
    </>
  );
}

function RolesOf({ person }: { person: Person }) {
  const { t } = useTexts('ownpeople', 'settings');
  const words = usePeopleWords();
  const params = { path: { name: person.name } };
  const set = useDeed(
    (body: Roles) => http.PUT('/api/people/{name}/roles', { params, body }),
    ...STALE,
  );
  return (
    <Section title={t('ownpeople:roles')}>
      <Form<Roles>
        name="roles"
        layout="vertical"
        requiredMark={false}
        initialValues={{ roles: person.roles as Roles['roles'] }}
        onFinish={(values) => set.mutate(values)}
        style={{ maxWidth: 420 }}
      >
        <Form.Item
          name="roles"
          label={t('ownpeople:roles')}
          rules={[{ required: true, message: t('settings:password.missing') }]}
        >
          <Select<string[]>
            mode="multiple"
            options={ROLES.map((one) => ({ value: one, label: words.role(one) }))}
          />
        </Form.Item>
        {set.isError ? (
          <Form.Item>
            <Failed error={set.error} />
          </Form.Item>
        ) : null}
        <Button htmlType="submit" loading={set.isPending}>
          {t('ownpeople:roles.set')}
        </Button>
      </Form>
    </Section>
  );
}

function Shut({ person }: { person: Person }) {
  const { t } = useTexts('ownpeople');
  const params = { path: { name: person.name } };
  const shut = person.state === 'disabled';
  const set = useDeed(
    () => http.PUT('/api/people/{name}/state', { params, body: { disabled: !shut } }),
    ...STALE,
  );
  return (
    <Section title={t('ownpeople:state')}>
      <p>{t(shut ? 'ownpeople:enable.hint' : 'ownpeople:disable.hint')}</p>
      {set.isError ? <Failed error={set.error} /> : null}
      <Popconfirm
        title={t(shut ? 'ownpeople:enable.sure' : 'ownpeople:disable.sure')}
        okText={t(shut ? 'ownpeople:enable' : 'ownpeople:disable')}
        cancelText={t('ownpeople:cancel')}
        onConfirm={() => set.mutate(undefined)}
      >
        <Button danger={!shut} loading={set.isPending}>
          {t(shut ? 'ownpeople:enable' : 'ownpeople:disable')}
        </Button>
      </Popconfirm>
    </Section>
  );
}

function ResetOf({ person }: { person: Person }) {
  const { t } = useTexts('ownpeople', 'settings');
  const [form] = Form.useForm<{ password: string; factor?: boolean }>();
  const params = { path: { name: person.name } };
  const reset = useDeed(
    ({ password, factor = false }: { password: string; factor?: boolean }) => {
      const body = { password, second_factor: factor };
      return http.POST('/api/people/{name}/reset', { params, body });
    },
    ...STALE,
  );
  return (
    <Section title={t('ownpeople:reset')}>
      <Form
        form={form}
        name="reset"
        layout="vertical"
        requiredMark={false}
        onFinish={(values) => reset.mutate(values, { onSuccess: () => form.resetFields() })}
        style={{ maxWidth: 420 }}
      >
        <p>{t('ownpeople:reset.hint')}</p>
        <Form.Item
          name="password"
          label={t('ownpeople:first')}
          extra={t('ownpeople:first.hint')}
          rules={[{ required: true, message: t('settings:password.missing') }]}
        >
          <Input.Password autoComplete="new-password" maxLength={1024} />
        </Form.Item>
        <Form.Item name="factor" valuePropName="checked">
          <Checkbox>{t('ownpeople:reset.factor')}</Checkbox>
        </Form.Item>
        {reset.isError ? (
          <Form.Item>
            <Failed error={reset.error} />
          </Form.Item>
        ) : null}
        <Button danger htmlType="submit" loading={reset.isPending}>
          {t('ownpeople:reset')}
        </Button>
      </Form>
    </Section>
  );
}
