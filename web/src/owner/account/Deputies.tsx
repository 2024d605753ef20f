import { Button, Form, Input, Select, Space } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Failed } from '../../shared/states/Failed';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { dayAfter } from '../parts/days';
import parts from '../parts/parts.module.css';

type Values = { to: string; until: string };
type Props = { given: readonly Schemas['Delegation'][]; others: readonly string[] };

/** Who decides in one's place, until when; they never count as two people with oneself. */
export function Deputies({ given, others }: Props) {
  const { t } = useTexts('ownpeople');
  const set = useDeed(
    (body: Values) => http.PUT('/api/account/deputy', { body }),
    '/api/account',
    '/api/people',
  );
  return (
    <>
      <p>{t('ownpeople:deputies.lead')}</p>
      {given.length ? (
        <ul className={parts['lines']}>
          {given.map((one) => (
            <li key={one.name} className={parts['line']}>
              <span>
                {one.name} · {t('ownpeople:until')} <Moment at={one.until} />
              </span>
              <Button size="small" onClick={() => set.mutate({ to: one.name, until: '' })}>
                {t('ownpeople:deputies.end')}
              </Button>
            </li>
          ))}
        </ul>
      ) : null}
      {others.length ? (
        <Form<Values>
          name="deputy"
          layout="inline"
          requiredMark={false}
          onFinish={(values) => set.mutate(values)}
          initialValues={{ until: dayAfter(new Date(), 7) }}
        >
          <Form.Item
            name="to"
            label={t('ownpeople:deputies.who')}
            rules={[{ required: true, message: t('ownpeople:deputies.missing') }]}
          >
            <Select<string>
              style={{ minWidth: 160 }}
              options={others.map((one) => ({ value: one, label: one }))}
            />
          </Form.Item>
          <Form.Item
            name="until"
            label={t('ownpeople:until')}
            rules={[{ required: true, message: t('ownpeople:until.missing') }]}
          >
            <Input type="date" />
          </Form.Item>
          <Space>
            <Button htmlType="submit" loading={set.isPending}>
              {t('ownpeople:deputies.set')}
            </Button>
          </Space>
        </Form>
      ) : (
        <p>{t('ownpeople:deputies.nobody')}</p>
      )}
      {set.isError ? <Failed error={set.error} /> : null}
    </>
  );
}
