import { useQueryClient } from '@tanstack/react-query';
import { Form, Input } from 'antd';
import { api, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { FormDialog } from '../../shared/parts/FormDialog';

type Values = Schemas['OrganisationRequest'];

/** Takes an organisation into the platform; its agent and people come afterwards. */
export function NewOrganisation({ open, close }: { open: boolean; close: () => void }) {
  const { t } = useTexts('organisations');
  const [form] = Form.useForm<Values>();
  const queries = useQueryClient();
  const create = api.useMutation('post', '/api/v1/organisations', {
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ['get', '/api/v1/organisations'] });
      close();
    },
  });
  const required = [{ required: true, message: t('organisations:missing') }];
  return (
    <FormDialog
      open={open}
      close={close}
      title={t('organisations:new')}
      ok={t('organisations:new.do')}
      cancel={t('organisations:cancel')}
      form={form}
      sending={create}
      send={(body) => create.mutate({ body })}
    >
      <Form.Item name="name" label={t('organisations:name')} rules={required}>
        <Input autoFocus data-first maxLength={200} />
      </Form.Item>
      <Form.Item
        name="id"
        label={t('organisations:id')}
        extra={t('organisations:id.hint')}
        rules={required}
      >
        <Input spellCheck={false} maxLength={64} />
      </Form.Item>
    </FormDialog>
  );
}
