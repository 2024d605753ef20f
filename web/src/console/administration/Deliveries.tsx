import { Button, type TableColumnsType } from 'antd';
import { http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Moment } from '../../shared/parts/Moment';
import { PagedTable } from '../../shared/parts/PagedTable';
import { Empty } from '../../shared/states/Empty';
import { Failed } from '../../shared/states/Failed';
import { useDeed } from '../settings/deeds';

type Delivery = Schemas['DeliveryShown'];
const PATH = '/api/v1/deliveries';

/** What could not be told to another system, and why; each can be tried again. */
export function Deliveries() {
  const { t } = useTexts('administration');
  const retry = useDeed(
    (key: string) =>
      http.POST('/api/v1/deliveries/{key}/retry', { params: { path: { key } } }),
    PATH,
  );
  const columns: TableColumnsType<Delivery> = [
    { title: t('administration:at'), key: 'at', render: (_, one) => <Moment at={one.at} /> },
    {
      title: t('administration:kind'),
      key: 'kind',
      render: (_, one) => t(`words:notice.${one.kind}`),
    },
    { title: t('administration:channel'), key: 'channel', dataIndex: 'channel' },
    { title: t('administration:target'), key: 'target', dataIndex: 'target' },
    {
      title: t('administration:tries'),
      key: 'tries',
      align: 'right',
      className: 'number',
      dataIndex: 'tries',
    },
    {
      title: t('administration:failure'),
      key: 'code',
      render: (_, one) => (one.code ? <code>{one.code}</code> : t('administration:waits')),
    },
    {
      title: t('administration:deeds'),
      key: 'deeds',
      render: (_, one) => (
        <Button type="link" size="small" onClick={() => retry.mutate(one.id)}>
          {t('administration:retry')}
        </Button>
      ),
    },
  ];
  return (
    <>
      {retry.isError ? <Failed error={retry.error} /> : null}
      <PagedTable<Delivery>
        label={t('administration:deliveries')}
        queryKey={['get', PATH, 'paged']}
        load={async (cursor) => (await http.GET(PATH, { params: { query: { cursor } } })).data!}
        columns={columns}
        rowKey={(one) => one.id}
        empty={<Empty title={t('administration:deliveries.none')} />}
      />
    </>
  );
}
