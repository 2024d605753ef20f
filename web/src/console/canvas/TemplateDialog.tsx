import { useMutation } from '@tanstack/react-query';
import { Alert, AutoComplete, Form, Modal, Select } from 'antd';
import { useEffect, useState } from 'react';
import { api, http } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { Answer } from '../../shared/states/Answer';
import { useProjects } from '../project';
import type { Members } from './json';
import { mended } from './mended';
import { usePicks } from './usePicks';

type Props = {
  first: string;
  project: string;
  close: () => void;
  begin: (request: Members, from: string, comments: Record<string, string>) => void;
};
type Values = {
  template: string;
  project: string;
  datasets: string[];
  label?: string;
  positive?: string;
  keys?: Record<string, string>;
};

/** Begins with what most people begin with, filled in from what the owners declare. */
export function TemplateDialog({ first, project, close, begin }: Props) {
  const { t } = useTexts('canvas');
  const [form] = Form.useForm<Values>();
  const projects = useProjects().data?.items ?? [];
  const only = projects.length === 1 ? projects[0]?.id : undefined;
  const begins = project || only;
  const [said, hear] = useState<Members>(begins ? { project: begins } : {});
  const { picks, owners, each } = usePicks(said);
  useEffect(() => {
    // The projects may be told after the dialog is open: it stands behind an address of its own.
    if (!begins || form.isFieldTouched('project') || form.getFieldValue('project')) return;
    form.setFieldValue('project', begins);
    hear((before) => ({ ...before, project: begins }));
  }, [begins, form]);
  const offered = each.join(' ');
  useEffect(() => {
    if (!offered || form.isFieldTouched('datasets')) return;
    const datasets = offered.split(' ');
    form.setFieldValue('datasets', datasets);
    hear((before) => ({ ...before, datasets }));
  }, [offered, form]);
  const [key, choose] = useState(first);
  const templates = api.useQuery('get', '/api/v1/job-templates', {}, { staleTime: Infinity });
  const chosen = templates.data?.find((one) => one.key === key);
  const fill = useMutation({
    mutationFn: async (values: Values) => {
      const { data } = await http.POST('/api/v1/job-templates/{key}/fill', {
        params: { path: { key: values.template } },
        body: {
          project: values.project,
          datasets: values.datasets,
          name: '',
          label: values.label ?? '',
          positive: values.positive ?? '',
          keys: filled(values.keys),
        },
      });
      return data!;
    },
    onSuccess: ({ request, comments }, values) => {
      begin(request as Members, `template ${values.template}`, comments);
      close();
    },
  });
  const required = [{ required: true, message: t('canvas:template.missing') }];
  return (
    <Modal
      open
      title={t('canvas:template')}
      okText={t('canvas:template.do')}
      cancelText={t('canvas:cancel')}
      onCancel={close}
      onOk={() => form.submit()}
      confirmLoading={fill.isPending}
      destroyOnHidden
    >
      <Answer query={templates}>
        {(listed) => (
          <Form<Values>
            form={form}
            layout="vertical"
            requiredMark={false}
            initialValues={{ template: first || undefined, project: begins }}
            onValuesChange={(_, all: Values) => {
              hear({ project: all.project ?? '', datasets: all.datasets ?? [] });
              choose(all.template ?? '');
            }}
            onFinish={(values) => fill.mutate(values)}
          >
            <Form.Item name="template" label={t('canvas:template')} rules={required} extra={chosen?.sentence}>
              <Select options={listed.map((one) => ({ value: one.key, label: one.title }))} />
            </Form.Item>
            <Form.Item name="project" label={t('canvas:template.project')} rules={required}>
              <Select options={picks['project'] ?? []} />
            </Form.Item>
            <Form.Item name="datasets" label={t('canvas:template.datasets')} rules={required}>
              <Select mode="multiple" options={picks['dataset'] ?? []} />
            </Form.Item>
            {chosen?.asks.length ? <p>{t('canvas:template.free')}</p> : null}
            {chosen?.asks.includes('label') ? (
              <>
                <Form.Item name="label" label={t('canvas:template.label')}>
                  <AutoComplete options={picks['column'] ?? []} />
                </Form.Item>
                <Form.Item name="positive" label={t('canvas:template.positive')}>
                  <AutoComplete />
                </Form.Item>
              </>
            ) : null}
            {chosen?.asks.includes('keys')
              ? owners.map((one) => (
                  <Form.Item key={one} name={['keys', one]} label={t('canvas:template.key', { name: one })}>
                    <AutoComplete options={picks['column'] ?? []} />
                  </Form.Item>
                ))
              : null}
            <Alert type="info" title={t('canvas:template.hint')} />
            {fill.isError ? (
              <div ref={seen}>
                <Failed error={mended(fill.error, t)} />
              </div>
            ) : null}
          </Form>
        )}
      </Answer>
    </Modal>
  );
}

/** Brings a failure into view: the form may be longer than the window. */
function seen(place: HTMLElement | null): void {
  place?.scrollIntoView({ block: 'nearest' });
}

function filled(keys: Record<string, string | undefined> | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(keys ?? {}).flatMap(([name, one]) => (one ? [[name, one]] : [])),
  );
}
