import { Tag, type TableColumnsType } from 'antd';
import { Link } from 'react-router';
import { http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Digest } from '../../shared/parts/Digest';
import { Moment } from '../../shared/parts/Moment';
import { PagedTable } from '../../shared/parts/PagedTable';
import { Empty } from '../../shared/states/Empty';

type Attestation = Schemas['Attestation'];

/** What agents found of the enclave's evidence, newest first; a simulated one is said so. */
export function Attestations() {
  const { t } = useTexts('administration');
  const load = async (cursor: string) => {
    const query = cursor ? { before: Number(cursor) } : {};
    const { data } = await http.GET('/api/v1/attestations', { params: { query } });
    return { items: data!.items, next: data!.next ? String(data!.next) : '' };
  };
  const columns: TableColumnsType<Attestation> = [
    { title: t('administration:at'), key: 'at', render: (_, one) => <Moment at={one.at} /> },
    { title: t('administration:verdict.by'), key: 'party', dataIndex: 'party' },
    {
      title: t('administration:verdict'),
      key: 'tier',
      render: (_, one) =>
        one.simulated ? (
          <Tag className="simulated">{t('administration:verdict.simulated')}</Tag>
        ) : (
          <Tag color="success">{one.tier}</Tag>
        ),
    },
    {
      title: t('administration:verdict.evidence'),
      key: 'evidence',
      render: (_, one) => <Digest value={one.evidence} />,
    },
    {
      title: t('administration:job'),
      key: 'job',
      render: (_, one) =>
        one.job ? <Link to={`/jobs/${encodeURIComponent(one.job)}`}>{one.job}</Link> : '',
    },
    {
      title: t('administration:entry'),
      key: 'index',
      align: 'right',
      className: 'number',
      render: (_, one) => <Link to={`/record?entry=${one.index}`}>{one.index}</Link>,
    },
  ];
  return (
    <PagedTable<Attestation>
      label={t('administration:verdicts')}
      queryKey={['get', '/api/v1/attestations', 'paged']}
      load={load}
      columns={columns}
      rowKey={(one) => String(one.index)}
      empty={<Empty title={t('administration:verdicts.none')} />}
    />
  );
}
