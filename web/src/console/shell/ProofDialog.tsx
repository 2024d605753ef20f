import { Button, Form, Input, Modal } from 'antd';
import { useEffect, useState } from 'react';
import { useLocation } from 'react-router';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { prefix } from '../../shared/place';
import { focusFirst } from '../../shared/parts/first';
import { Failed } from '../../shared/states/Failed';
import { proofIsAskedBy } from '../proof';

type Values = { password: string; code?: string };

/** Asks once more who is there, where a deed needs it. */
export function ProofDialog() {
  const { t } = useTexts('login');
  const [answer, setAnswer] = useState<((given: boolean) => void) | null>(null);
  const prove = api.useMutation('post', '/api/v1/me/proof');
  useEffect(() => {
    proofIsAskedBy(() => new Promise((resolve) => setAnswer(() => resolve)));
    return () => proofIsAskedBy(() => Promise.resolve(false));
  }, []);
  const end = (given: boolean) => {
    answer?.(given);
    setAnswer(null);
    prove.reset();
  };
  const send = ({ password, code = '' }: Values) =>
    prove.mutate(
      { body: { password, code: code.replaceAll(' ', '') } },
      { onSuccess: () => end(true) },
    );
  return (
    <Modal
      open={answer !== null}
      title={t('login:proof')}
      footer={null}
      onCancel={() => end(false)}
      afterOpenChange={focusFirst}
      destroyOnHidden
    >
      <p>{t('login:proof.hint')}</p>
      <Form<Values> layout="vertical" requiredMark={false} onFinish={send}>
        <Form.Item
          name="password"
          label={t('login:password')}
          rules={[{ required: true, message: t('login:password.missing') }]}
        >
          <Input.Password autoComplete="current-password" autoFocus data-first />
        </Form.Item>
        <Form.Item name="code" label={t('login:code')} extra={t('login:code.optional')}>
          <Input autoComplete="one-time-code" spellCheck={false} />
        </Form.Item>
        {prove.isError ? (
          <Form.Item>
            <Failed error={prove.error} />
          </Form.Item>
        ) : null}
        <Button type="primary" htmlType="submit" block loading={prove.isPending}>
          {t('login:proof.give')}
        </Button>
      </Form>
      <ProvidersAgain />
    </Modal>
  );
}

/** Who has no password here proves it at the provider, and comes back to this page. */
function ProvidersAgain() {
  const { t } = useTexts('login');
  const known = api.useQuery('get', '/api/v1/oidc');
  const { pathname, search } = useLocation();
  const next = encodeURIComponent(prefix() + pathname + search);
  return (known.data?.items ?? []).map((one) => (
    <p key={one.name}>
      <a href={`${prefix()}${one.start}?next=${next}&fresh=true`}>
        {t('login:proof.at', { title: one.title })}
      </a>
    </p>
  ));
}
