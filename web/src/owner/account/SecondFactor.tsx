import { Alert, Button, Form, Input, QRCode, Typography } from 'antd';
import { useState } from 'react';
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
  if (codes.length) return <Recovery codes={codes} kept={() => setCodes([])} />;
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
  const { t } = useTexts('settings');
  const confirm = useDeed(
    async ({ code }: { code: string }) => {
      const body = { code: code.replaceAll(' ', '') };
      return (await http.POST('/api/account/second-factor/confirm', { body })).data!;
    },
    '/api/account',
    '/api/people',
  );
  return (
    <Form<{ code: string }>
      name="confirm"
      layout="vertical"
      requiredMark={false}
      onFinish={(values) =>
        confirm.mutate(values, { onSuccess: ({ codes }) => confirmed(codes) })
      }
      style={{ maxWidth: 420 }}
    >
      <p>{t('settings:factor.scan')}</p>
      <div>
        <QRCode
          type="svg"
          value={drawn.address}
          size={200}
          color="#000"
          bgColor="#fff"
          aria-label={t('settings:factor.picture')}
        />
      </div>
      <p>
        {t('settings:factor.secret')}{' '}
        <Typography.Text code copyable data-testid="secret">
          {drawn.secret}
        </Typography.Text>
      </p>
      <Form.Item
        name="code"
        label={t('settings:factor.code')}
        rules={[{ required: true, message: t('settings:factor.code.missing') }]}
      >
        <Input autoComplete="one-time-code" spellCheck={false} />
      </Form.Item>
      {confirm.isError ? (
        <Form.Item>
          <Failed error={confirm.error} />
        </Form.Item>
      ) : null}
      <Button type="primary" htmlType="submit" loading={confirm.isPending}>
        {t('settings:factor.confirm')}
      </Button>
    </Form>
  );
}

function Recovery({ codes, kept }: { codes: readonly string[]; kept: () => void }) {
  const { t } = useTexts('settings');
  return (
    <Alert
      type="success"
      showIcon
      title={t('settings:recovery.title')}
      description={
        <>
          <p>{t('settings:recovery.hint')}</p>
          <Typography.Paragraph copyable={{ text: codes.join('\n') }}>
            <ol aria-label={t('settings:recovery.title')}>
              {codes.map((code) => (
                <li key={code}>
                  <code>{code}</code>
                </li>
              ))}
            </ol>
          </Typography.Paragraph>
          <Button onClick={kept}>{t('settings:recovery.kept')}</Button>
        </>
      }
    />
  );
}
