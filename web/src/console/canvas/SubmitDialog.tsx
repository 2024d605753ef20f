import { Alert, Descriptions, Flex, Modal, Typography } from 'antd';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { http } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Failed } from '../../shared/states/Failed';
import { useDeed } from '../settings/deeds';
import { Asked } from './Asked';
import { Differences } from './Differences';
import { Learns } from './Learns';
import type { Members } from './json';
import { rowsOf } from './reveals';
import { forget } from './store';
import type { Checked } from './useCheck';

type Props = {
  request: Members;
  base: Members | null;
  answer: Checked;
  person: string;
  open: boolean;
  close: () => void;
};

/** What is about to be asked of whom; its digest is what every owner signs. */
export function SubmitDialog({ request, base, answer, person, open, close }: Props) {
  const { t } = useTexts('canvas');
  const navigate = useNavigate();
  const [key] = useState(() => crypto.randomUUID());
  const submit = useDeed(
    () =>
      http.POST('/api/v1/jobs', {
        body: request as never,
        params: { header: { 'Idempotency-Key': `${key}-${answer.digest.slice(-16)}` } },
      }),
    '/api/v1/jobs',
  );
  const send = async () => {
    const done = await submit.mutateAsync(undefined).catch(() => null);
    if (!done?.data) return;
    forget(person);
    void navigate(`/jobs/${encodeURIComponent(done.data.id)}`);
  };
  return (
    <Modal
      open={open}
      onCancel={close}
      width={800}
      title={t('canvas:submit.title')}
      okText={t('canvas:submit.do')}
      cancelText={t('canvas:cancel')}
      okButtonProps={{ disabled: !answer.digest }}
      confirmLoading={submit.isPending}
      onOk={() => void send()}
      destroyOnHidden
    >
      <Flex vertical gap="middle">
        <Descriptions
          size="small"
          column={1}
          items={[{ key: 'digest', label: t('canvas:digest'), children: <Id value={answer.digest} /> }]}
        />
        <Typography.Text>{t('canvas:submit.hint')}</Typography.Text>
        <Asked answer={answer} />
        {answer.notes.map((one, at) => (
          <Alert key={one} showIcon type={at === 0 && answer.preview?.two_party ? 'warning' : 'info'} title={one} />
        ))}
        <Learns rows={rowsOf(answer)} />
        {base ? (
          <>
            <Typography.Text strong>{t('canvas:submit.difference')}</Typography.Text>
            <Differences before={base} after={request} />
          </>
        ) : null}
        {submit.isError ? <Failed error={submit.error} /> : null}
      </Flex>
    </Modal>
  );
}
