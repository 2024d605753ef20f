import { Alert, Button, Form, Input } from 'antd';
import { useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { Failed } from '../../shared/states/Failed';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import parts from '../parts/parts.module.css';
import { Section } from '../parts/Section';

const STALE = [
  '/api/grants',
  '/api/grants/{grant}',
  '/api/datasets',
  '/api/datasets/{name}',
  '/api/running',
  '/api/overview',
  '/api/activity',
];

/** Takes a grant back, after saying which jobs stop with it. */
export function Revoke({ shown }: { shown: Schemas['Grant'] }) {
  const { t } = useTexts('holdings');
  const [asked, ask] = useState(false);
  const params = { path: { grant: shown.grant.id } };
  const revoke = useDeed(
    (reason: string) => http.POST('/api/grants/{grant}/revoke', { params, body: { reason } }),
    ...STALE,
  );
  return (
    <Section title={t('holdings:revoke')}>
      {asked ? (
        <Form<{ reason?: string }>
          name="revoke"
          layout="vertical"
          requiredMark={false}
          onFinish={({ reason = '' }) => revoke.mutate(reason.trim())}
          style={{ maxWidth: 560 }}
        >
          <Alert
            type="warning"
            showIcon
            title={t('holdings:revoke.stops', { count: shown.running.length })}
            description={
              shown.running.length ? (
                <ul className={parts['lines']}>
                  {shown.running.map((one) => (
                    <li key={one}>
                      <Id value={one} />
                    </li>
                  ))}
                </ul>
              ) : null
            }
          />
          <Form.Item name="reason" label={t('holdings:revoke.why')}>
            <Input.TextArea maxLength={500} autoFocus rows={2} />
          </Form.Item>
          {revoke.isError ? (
            <Form.Item>
              <Failed error={revoke.error} />
            </Form.Item>
          ) : null}
          <Button danger htmlType="submit" loading={revoke.isPending}>
            {t('holdings:revoke.sure')}
          </Button>{' '}
          <Button onClick={() => ask(false)}>{t('holdings:cancel')}</Button>
        </Form>
      ) : (
        <>
          <p>{t('holdings:revoke.hint')}</p>
          <Button danger onClick={() => ask(true)}>
            {t('holdings:revoke.do')}
          </Button>
        </>
      )}
    </Section>
  );
}
