import { Button, Form, Input } from 'antd';
import { useState } from 'react';
import { EnrolFactor } from '../../shared/account/EnrolFactor';
import { RecoveryCodes } from '../../shared/account/RecoveryCodes';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';

/** The second factor: drawing a secret for an authenticator app, and confirming it by a code. */
export function SecondFactor({ enrolled }: { enrolled: boolean }) {
  const { t } = useTexts('ownpeople', 'settings');
  const [drawn, setDrawn] = useState<Schemas['Drawn'] | null>(null);
  const [codes, setCodes] = useState<readonly string[]>([]);
  const draw = useDeed(async ({ password }: { password: string }) => {
    return (await http.POST('/api/account/second-factor', { body: { password } })).data!;
  });
  if (codes.length) return <RecoveryCodes codes={codes} onKept={() => setCodes([])} />;
  if (drawn) {
    return (
      <Confirm
        drawn={drawn}
        confirmed={(made) => {
          setDrawn(null);
          setCodes(made);
        }}
      />
    );
  }
  return (
    <Form<{ password: string }>
      name="factor"
      layout="vertical"
      requiredMark={false}
      onFinish={(values) => draw.mutate(values, { onSuccess: setDrawn })}
      style={{ maxWidth: 420 }}
    >
      <p>{t(enrolled ? 'ownpeople:factor.on' : 'settings:factor.lead')}</p>
      <Form.Item
        name="password"
        label={t('settings:password.old')}
        rules={[{ required: true, message: t('settings:password.missing') }]}
      >
        <Input.Password autoComplete="current-password" maxLength={1024} />
      </Form.Item>
      {draw.isError ? (
        <Form.Item>
          <Failed error={draw.error} />
        </Form.Item>
      ) : null}
      <Button htmlType="submit" loading={draw.isPending}>
        {t(enrolled ? 'ownpeople:factor.again' : 'settings:factor.add')}
      </Button>
    </Form>
  );
}

type Confirming = { drawn: Schemas['Drawn']; confirmed: (codes: readonly string[]) => void };

function Confirm({ drawn, confirmed }: Confirming) {
  const confirm = useDeed(
    async (code: string) =>
      (await http.POST('/api/account/second-factor/confirm', { body: { code } })).data!,
    '/api/account',
    '/api/people',
  );
  const prove = async (code: string) => (await confirm.mutateAsync(code)).codes;
  return (
    <EnrolFactor address={drawn.address} secret={drawn.secret} prove={prove} onCodes={confirmed} />
  );
}
