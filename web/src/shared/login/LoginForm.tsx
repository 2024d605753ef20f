import { useMutation } from '@tanstack/react-query';
import { Button, Form, Input } from 'antd';
import { useState } from 'react';
import { asProblem } from '../../api/problem';
import { useTexts } from '../i18n';
import { Failed } from '../states/Failed';

/** What is sent: a code where the account needs one, else empty. */
export type Credentials = { name: string; password: string; code: string };
type Props<Entered> = {
  /** Asks whichever server the page is of. */
  enter: (given: Credentials) => Promise<Entered>;
  onDone: (entered: Entered) => void;
  name?: string;
};

/** Name and password, and a code where the account needs one. */
export function LoginForm<Entered>({ enter, onDone, name }: Props<Entered>) {
  const { t } = useTexts('login');
  const [needsCode, setNeedsCode] = useState(false);
  const login = useMutation({
    mutationFn: ({ code = '', ...who }: Partial<Credentials> & Omit<Credentials, 'code'>) =>
      enter({ ...who, code: code.replaceAll(' ', '') }),
  });
  const needed = login.isError && asProblem(login.error).code === 'second_factor_required';
  const send = (values: Credentials) =>
    login.mutate(values, {
      onSuccess: onDone,
      onError: (error) => {
        if (asProblem(error).code === 'second_factor_required') setNeedsCode(true);
      },
    });
  return (
    <Form<Credentials>
      name="login"
      layout="vertical"
      requiredMark={false}
      initialValues={{ name: name ?? '' }}
      onFinish={send}
    >
      <Form.Item
        name="name"
        label={t('login:name')}
        rules={[{ required: true, message: t('login:name.missing') }]}
      >
        <Input autoComplete="username" autoFocus={!name} data-first={!name || undefined} spellCheck={false} autoCapitalize="none" />
      </Form.Item>
      <Form.Item
        name="password"
        label={t('login:password')}
        rules={[{ required: true, message: t('login:password.missing') }]}
      >
        <Input.Password autoComplete="current-password" autoFocus={Boolean(name)} data-first={Boolean(name) || undefined} />
      </Form.Item>
      {needsCode ? (
        <Form.Item
          name="code"
          label={t('login:code')}
          extra={t('login:code.hint')}
          rules={[{ required: true, message: t('login:code.missing') }]}
        >
          <Input autoComplete="one-time-code" autoFocus spellCheck={false} />
        </Form.Item>
      ) : null}
      {login.isError && !needed ? (
        <Form.Item>
          <Failed error={login.error} />
        </Form.Item>
      ) : null}
      <Button type="primary" htmlType="submit" block loading={login.isPending}>
        {t('login:enter')}
      </Button>
    </Form>
  );
}
