import { Button, Form, Input, Space } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { Failed } from '../../shared/states/Failed';
import { http } from '../api';
import { useDeed } from '../deeds';
import { dayAfter } from '../parts/days';

/** Until when one is away: nobody waits for somebody who does not come. */
export function Absence({ absent }: { absent: number }) {
  const { t } = useTexts('ownpeople');
  const set = useDeed(
    (until: string) => http.PUT('/api/account/absence', { body: { until } }),
    '/api/account',
    '/api/people',
    '/api/inbox/{item}',
  );
  return (
    <>
      <p>
        {absent ? (
          <>
            {t('ownpeople:absent')} <Moment at={absent} />
          </>
        ) : (
          t('ownpeople:absence.lead')
        )}
      </p>
      <Form<{ until: string }>
        name="absence"
        layout="inline"
        requiredMark={false}
        onFinish={({ until }) => set.mutate(until)}
        initialValues={{ until: dayAfter(new Date(), 7) }}
      >
        <Form.Item
          name="until"
          label={t('ownpeople:until')}
          rules={[{ required: true, message: t('ownpeople:until.missing') }]}
        >
          <Input type="date" />
        </Form.Item>
        <Space>
          <Button htmlType="submit" loading={set.isPending}>
            {t('ownpeople:absence.set')}
          </Button>
          {absent ? <Button onClick={() => set.mutate('')}>{t('ownpeople:back')}</Button> : null}
        </Space>
      </Form>
      {set.isError ? <Failed error={set.error} /> : null}
    </>
  );
}
