import { Form, Input, Select } from 'antd';
import { useTexts } from '../../shared/i18n';
import { FormDialog } from '../../shared/parts/FormDialog';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { ROLES, usePeopleWords } from './words';

type Values = Schemas['NewPerson'];

/** Makes an account; its person chooses another password before deciding anything. */
export function NewPerson({ open, close }: { open: boolean; close: () => void }) {
  const { t } = useTexts('ownpeople', 'settings');
  const words = usePeopleWords();
  const [form] = Form.useForm<Values>();
  const make = useDeed((body: Values) => http.POST('/api/people', { body }), '/api/people');
  const required = [{ required: true, message: t('settings:password.missing') }];
  return (
    <FormDialog
      open={open}
      close={close}
      title={t('ownpeople:new')}
      ok={t('ownpeople:new.do')}
      cancel={t('ownpeople:cancel')}
      form={form}
      name="person"
      sending={make}
      send={(values) => make.mutate(values, { onSuccess: close })}
    >
      <Form.Item
        name="name"
        label={t('ownpeople:name')}
        extra={t('ownpeople:name.hint')}
        rules={required}
      >
        <Input autoFocus data-first spellCheck={false} maxLength={64} autoComplete="off" />
      </Form.Item>
      <Form.Item name="roles" label={t('ownpeople:roles')} rules={required}>
        <Select<string[]>
          mode="multiple"
          options={ROLES.map((one) => ({ value: one, label: words.role(one) }))}
        />
      </Form.Item>
      <Form.Item
        name="password"
        label={t('ownpeople:first')}
        extra={t('ownpeople:first.hint')}
        rules={required}
      >
        <Input.Password autoComplete="new-password" maxLength={1024} />
      </Form.Item>
    </FormDialog>
  );
}
