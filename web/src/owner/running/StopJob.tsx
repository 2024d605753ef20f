import { App, Button, Form, Input, Modal } from 'antd';
import { useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Failed } from '../../shared/states/Failed';
import { http } from '../api';
import { useDeed } from '../deeds';
import parts from '../parts/parts.module.css';

const STALE = [
  '/api/running',
  '/api/overview',
  '/api/datasets',
  '/api/datasets/{name}',
  '/api/grants/{grant}',
  '/api/activity',
];

/** Stops one job, whether a grant covers it or not, once who decides has said so twice. */
export function StopJob({ job }: { job: string }) {
  const { t } = useTexts('owner');
  const { notification } = App.useApp();
  const [asked, ask] = useState(false);
  const [form] = Form.useForm<{ reason?: string }>();
  const withdraw = useDeed(async (reason: string) => {
    const params = { path: { job } };
    const { data } = await http.POST('/api/jobs/{job}/withdraw', { params, body: { reason } });
    ask(false);
    const told = data!.ended.flatMap((one) => one.told);
    notification.success({
      title: t('owner:stop.done', { job }),
      description: told.map((line) => (
        <p key={line} className={parts['quiet']}>
          {line}
        </p>
      )),
      duration: 0,
    });
  }, ...STALE);
  return (
    <>
      <Button danger size="small" onClick={() => ask(true)}>
        {t('owner:stop')}
      </Button>
      <Modal
        open={asked}
        title={t('owner:stop.title')}
        okText={t('owner:stop.sure')}
        okButtonProps={{ danger: true, loading: withdraw.isPending }}
        cancelText={t('owner:stop.cancel')}
        onOk={() => withdraw.mutate(String(form.getFieldValue('reason') ?? '').trim())}
        onCancel={() => ask(false)}
        destroyOnHidden
      >
        <p>
          <Id value={job} />
        </p>
        <p>{t('owner:stop.hint')}</p>
        <Form form={form} name="stop" layout="vertical">
          <Form.Item name="reason" label={t('owner:stop.why')}>
            <Input.TextArea maxLength={500} rows={2} autoFocus />
          </Form.Item>
        </Form>
        {withdraw.isError ? <Failed error={withdraw.error} /> : null}
      </Modal>
    </>
  );
}
