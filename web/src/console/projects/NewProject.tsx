import { useQueryClient } from '@tanstack/react-query';
import { Checkbox, DatePicker, Form, Input, Select } from 'antd';
import type { Dayjs } from 'dayjs';
import { useNavigate } from 'react-router';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { FormDialog } from '../../shared/parts/FormDialog';

type Values = {
  name: string;
  template?: string;
  purpose: string;
  description?: string;
  ends?: Dayjs | null;
  restricted?: boolean;
};

/** Founds a project: its purpose never changes, so it is asked for with care. */
export function NewProject({ open, close }: { open: boolean; close: () => void }) {
  const { t } = useTexts('projects');
  const [form] = Form.useForm<Values>();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const templates = api.useQuery('get', '/api/v1/project-templates', {}, { enabled: open });
  const create = api.useMutation('post', '/api/v1/projects', {
    onSuccess: (made) => {
      void queries.invalidateQueries({ queryKey: ['get', '/api/v1/projects'] });
      close();
      void navigate(`/projects/${encodeURIComponent(made.id)}`);
    },
  });
  const required = [{ required: true, message: t('projects:missing') }];
  const chosen = (name: string | undefined) => {
    const one = templates.data?.find((each) => each.name === name);
    if (!one) return;
    form.setFieldsValue({
      purpose: one.purpose,
      description: one.description,
      restricted: one.rules.restricted ?? false,
    });
  };
  const send = ({ ends, template = '', description = '', restricted = false, ...rest }: Values) =>
    create.mutate({
      body: {
        ...rest,
        template,
        description,
        restricted,
        ends: ends ? ends.endOf('day').unix() : null,
      },
    });
  return (
    <FormDialog
      open={open}
      close={close}
      title={t('projects:new')}
      ok={t('projects:new.do')}
      cancel={t('projects:cancel')}
      form={form}
      sending={create}
      send={send}
    >
      <Form.Item name="name" label={t('projects:name')} rules={required}>
        <Input autoFocus data-first maxLength={200} />
      </Form.Item>
      <Form.Item name="template" label={t('projects:template')} extra={t('projects:template.hint')}>
        <Select
          allowClear
          onChange={chosen}
          loading={templates.isFetching}
          options={(templates.data ?? []).map((one) => ({ value: one.name, label: one.title }))}
        />
      </Form.Item>
      <Form.Item
        name="purpose"
        label={t('projects:purpose')}
        extra={t('projects:purpose.hint')}
        rules={required}
      >
        <Input maxLength={200} />
      </Form.Item>
      <Form.Item name="description" label={t('projects:description')}>
        <Input.TextArea rows={3} maxLength={4000} />
      </Form.Item>
      <Form.Item name="ends" label={t('projects:ends')} extra={t('projects:ends.hint')}>
        <DatePicker />
      </Form.Item>
      <Form.Item name="restricted" valuePropName="checked" extra={t('projects:restricted.hint')}>
        <Checkbox>{t('projects:restricted')}</Checkbox>
      </Form.Item>
    </FormDialog>
  );
}
