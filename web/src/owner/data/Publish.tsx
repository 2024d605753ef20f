import { Button, Form, Input } from 'antd';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import { http, type Schemas } from '../api';
import { useDeed } from '../deeds';
import { useMay } from '../session';

type Values = { title: string };

/** Checks a dataset against its file, and tells the centre what it is called and looks like. */
export function Publish({ dataset }: { dataset: Schemas['DatasetView'] }) {
  const { t } = useTexts('holdings');
  const decider = useMay('decider');
  const params = { path: { name: dataset.name } };
  const publish = useDeed(
    ({ title }: Values) =>
      http.POST('/api/datasets/{name}/publish', { params, body: { title: title.trim() } }),
    '/api/datasets',
    '/api/datasets/{name}',
  );
  if (!decider || dataset.state === 'published') return null;
  return (
    <Form<Values>
      name="publish"
      layout="vertical"
      requiredMark={false}
      initialValues={{ title: dataset.title }}
      onFinish={(values) => publish.mutate(values)}
      style={{ maxWidth: 480 }}
    >
      <p>{t('holdings:publish.hint')}</p>
      <Form.Item name="title" label={t('holdings:publish.title')}>
        <Input maxLength={200} />
      </Form.Item>
      {publish.isError ? (
        <Form.Item>
          <Failed error={publish.error} />
        </Form.Item>
      ) : null}
      <Button htmlType="submit" loading={publish.isPending}>
        {t(dataset.published ? 'holdings:publish.again' : 'holdings:publish')}
      </Button>
    </Form>
  );
}
