import { Button, Form, InputNumber } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { Section } from '../parts/Section';

type Values = Schemas['Unlock'];

/** Confirms a grant of a restored agent, with what was used of it since the backup. */
export function Unlock({ grant }: { grant: Schemas['GrantRow'] }) {
  const { t } = useTexts('holdings');
  const params = { path: { grant: grant.id } };
  const unlock = useDeed(
    (body: Values) => http.POST('/api/grants/{grant}/unlock', { params, body }),
    '/api/grants',
    '/api/grants/{grant}',
  );
  return (
    <Section title={t('holdings:unlock')}>
      <Form<Values>
        name="unlock"
        layout="vertical"
        requiredMark={false}
        initialValues={{ uses: grant.uses.used, epsilon: grant.epsilon.used }}
        onFinish={(values) => unlock.mutate(values)}
      >
        <p>{t('holdings:unlock.hint')}</p>
        <Form.Item
          name="uses"
          label={t('holdings:uses')}
          rules={[{ required: true, message: t('holdings:missing') }]}
        >
          <InputNumber min={0} precision={0} />
        </Form.Item>
        <Form.Item
          name="epsilon"
          label={t('holdings:unlock.epsilon')}
          rules={[{ required: true, message: t('holdings:missing') }]}
        >
          <InputNumber min={0} />
        </Form.Item>
        {unlock.isError ? (
          <Form.Item>
            <Failed error={unlock.error} />
          </Form.Item>
        ) : null}
        <Button htmlType="submit" loading={unlock.isPending}>
          {t('holdings:unlock.do')}
        </Button>
      </Form>
    </Section>
  );
}
