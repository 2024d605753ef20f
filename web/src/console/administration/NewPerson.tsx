import { Form, Input, Select } from 'antd';
import { api, http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { FormDialog } from '../../shared/parts/FormDialog';
import { useMe } from '../session';
import { useDeed } from '../settings/deeds';
import { offered } from './roles';

type Values = Schemas['UserRequest'];

/** Makes an account; its owner changes the first password after the first login. */
export function NewPerson({ open, close }: { open: boolean; close: () => void }) {
  const { t } = useTexts('administration');
  const [form] = Form.useForm<Values>();
  const me = useMe().data;
  const operator = me?.roles.includes('platform-admin') ?? false;
  const organisation = Form.useWatch('organisation', form) ?? me?.organisation ?? '';
  const all = api.useQuery(
    'get',
    '/api/v1/organisations',
    { params: { query: { limit: 200 } } },
    { enabled: open && operator },
  );
  const make = useDeed(
    (body: Values) => http.POST('/api/v1/users', { body }),
    '/api/v1/users',
  );
  const required = [{ required: true, message: t('administration:missing') }];
  const send = (values: Values) =>
    make.mutate(
      { ...values, display: values.display ?? '', organisation },
      { onSuccess: close },
    );
  return (
    <FormDialog
      open={open}
      close={close}
      title={t('administration:new')}
      ok={t('administration:new.do')}
      cancel={t('administration:cancel')}
      form={form}
      sending={make}
      send={send}
    >
      {operator ? (
        <Form.Item
          name="organisation"
          label={t('administration:organisation')}
          initialValue=""
          extra={t('administration:organisation.hint')}
        >
          <Select
            showSearch
            optionFilterProp="label"
            onChange={() => form.setFieldValue('roles', [])}
            options={[
              { value: '', label: t('administration:operator') },
              ...(all.data?.items ?? []).map((one) => ({ value: one.id, label: one.name })),
            ]}
          />
        </Form.Item>
      ) : null}
      <Form.Item
        name="name"
        label={t('administration:login')}
        extra={t('administration:login.hint')}
        rules={required}
      >
        <Input spellCheck={false} maxLength={64} autoComplete="off" />
      </Form.Item>
      <Form.Item name="display" label={t('administration:display')}>
        <Input maxLength={200} />
      </Form.Item>
      <Form.Item name="roles" label={t('administration:roles')} rules={required}>
        <Select
          mode="multiple"
          options={offered(organisation).map((role) => ({
            value: role,
            label: t(`administration:role.${role}`),
          }))}
        />
      </Form.Item>
      <Form.Item
        name="password"
        label={t('administration:password')}
        extra={t('administration:password.hint')}
        rules={required}
      >
        <Input.Password autoComplete="new-password" maxLength={256} />
      </Form.Item>
    </FormDialog>
  );
}
