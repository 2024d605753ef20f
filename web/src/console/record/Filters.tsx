import { AutoComplete, DatePicker, Input, Select, Space } from 'antd';
import dayjs, { type Dayjs } from 'dayjs';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import type { Wanted } from './wanted';

/** What kinds begin with. */
const FAMILIES = [
  'job',
  'approval',
  'results',
  'project',
  'member',
  'person',
  'dataset',
  'grant',
  'question',
  'bundle',
  'charter',
  'organisation',
  'agent',
  'enrolment',
  'user',
  'login',
  'second_factor',
  'webhook',
] as const;
const WHOLE = new Set(['approval']);

type Props = { wanted: Wanted; set: (name: string, value: string) => void };

/** What is searched for in the ledger. */
export function Filters({ wanted, set }: Props) {
  const { t } = useTexts('record');
  return (
    <Space wrap role="search">
      <Input.Search
        allowClear
        key={`text ${wanted.text}`}
        aria-label={t('record:filter.text')}
        placeholder={t('record:filter.text')}
        defaultValue={wanted.text}
        maxLength={100}
        onSearch={(text) => set('text', text.trim())}
      />
      <Kind wanted={wanted} set={set} />
      <Author wanted={wanted} set={set} />
      <Input.Search
        allowClear
        key={`job ${wanted.job}`}
        aria-label={t('record:filter.job')}
        placeholder={t('record:filter.job')}
        defaultValue={wanted.job}
        maxLength={100}
        onSearch={(text) => set('job', text.trim())}
      />
      <DatePicker
        aria-label={t('record:filter.since')}
        placeholder={t('record:filter.since')}
        value={wanted.since ? dayjs.unix(wanted.since) : null}
        onChange={(day: Dayjs | null) => set('since', day ? String(day.startOf('day').unix()) : '')}
      />
      <DatePicker
        aria-label={t('record:filter.until')}
        placeholder={t('record:filter.until')}
        value={wanted.until ? dayjs.unix(wanted.until - 1) : null}
        onChange={(day: Dayjs | null) =>
          set('until', day ? String(day.startOf('day').add(1, 'day').unix()) : '')
        }
      />
    </Space>
  );
}

function Kind({ wanted, set }: Props) {
  const { t } = useTexts('record');
  return (
    <AutoComplete
      allowClear
      key={`kind ${wanted.kind}`}
      aria-label={t('record:filter.kind')}
      placeholder={t('record:filter.kind')}
      style={{ width: 190 }}
      defaultValue={wanted.kind}
      options={FAMILIES.map((one) => ({
        value: WHOLE.has(one) ? one : `${one}.`,
        label: t(`record:family.${one}`),
      }))}
      onSelect={(kind: string) => set('kind', kind)}
      onBlur={(event) => set('kind', (event.target as HTMLInputElement).value.trim())}
      onClear={() => set('kind', '')}
    />
  );
}

function Author({ wanted, set }: Props) {
  const { t } = useTexts('record');
  const query = { limit: 200 };
  const known = api.useQuery('get', '/api/v1/organisations', { params: { query } }).data?.items;
  const names = (known ?? []).map((one) => ({ value: one.id, label: `${one.name} (${one.id})` }));
  return (
    <Select
      allowClear
      showSearch={{ optionFilterProp: 'label' }}
      aria-label={t('record:filter.author')}
      placeholder={t('record:filter.author')}
      style={{ width: 190 }}
      value={wanted.author || undefined}
      onChange={(author?: string) => set('author', author ?? '')}
      options={[
        { value: 'server', label: t('record:author.server') },
        { value: 'enclave', label: t('record:author.enclave') },
        ...names,
      ]}
    />
  );
}
