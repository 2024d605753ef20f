import { useQueryClient } from '@tanstack/react-query';
import { Alert, DatePicker, Form, Input, Modal, Select } from 'antd';
import dayjs, { type Dayjs } from 'dayjs';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { useProjects } from '../project';
import type { Dataset } from './columns';

type Values = { project: string; columns: string[]; purposes: string; expires: Dayjs };
type Props = { dataset: Dataset; open: boolean; close: () => void };

const DAYS = 90;

/** Lets a project see the description and ask. Whether a job may run is decided at the agent. */
export function GrantDialog({ dataset, open, close }: Props) {
  const { t } = useTexts('data');
  const [form] = Form.useForm<Values>();
  const queries = useQueryClient();
  const projects = (useProjects().data?.items ?? []).filter((one) => !one.closed);
  const create = api.useMutation('post', '/api/v1/datasets/{key}/grants', {
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ['get', '/api/v1/grants'] });
      close();
    },
  });
  const chosen = (id: string) => {
    const purpose = projects.find((one) => one.id === id)?.purpose;
    if (purpose) form.setFieldValue('purposes', purpose);
  };
  const required = [{ required: true, message: t('data:missing') }];
  const send = ({ project, columns, purposes, expires }: Values) =>
    create.mutate({
      params: { path: { key: dataset.id } },
      body: {
        project,
        columns,
        purposes: purposes ? [purposes] : [],
        expires: expires.endOf('day').unix(),
      },
    });
  return (
    <Modal
      open={open}
      title={t('data:grant')}
      okText={t('data:grant.do')}
      cancelText={t('data:cancel')}
      onOk={() => form.submit()}
      onCancel={close}
      confirmLoading={create.isPending}
      afterClose={() => create.reset()}
      destroyOnHidden
    >
      <Alert type="info" title={t('data:grant.hint')} style={{ marginBlockEnd: 16 }} />
      <Form<Values>
        form={form}
        layout="vertical"
        requiredMark={false}
        preserve={false}
        initialValues={{ columns: [], expires: dayjs().add(DAYS, 'day') }}
        onFinish={send}
      >
        <Form.Item name="project" label={t('data:project')} rules={required}>
          <Select
            showSearch
            optionFilterProp="label"
            onChange={chosen}
            options={projects.map((one) => ({ value: one.id, label: one.name }))}
          />
        </Form.Item>
        <Form.Item
          name="columns"
          label={t('data:columns')}
          extra={t('data:grant.columns')}
          rules={required}
        >
          <Select
            mode="multiple"
            allowClear
            maxTagCount="responsive"
            options={dataset.columns.map((one) => ({
              value: one.name,
              label: one.sensitive ? `${one.name} (${t('data:sensitive')})` : one.name,
            }))}
          />
        </Form.Item>
        <Form.Item name="purposes" label={t('data:purpose')} extra={t('data:grant.purpose')}>
          <Input maxLength={200} />
        </Form.Item>
        <Form.Item name="expires" label={t('data:expires')} rules={required}>
          <DatePicker disabledDate={(day) => day.isBefore(dayjs(), 'day')} allowClear={false} />
        </Form.Item>
        {create.isError ? <Failed error={create.error} /> : null}
      </Form>
    </Modal>
  );
}
