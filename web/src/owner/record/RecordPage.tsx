import { Button, Flex, Select } from 'antd';
import { useSearchParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { origin } from '../../shared/place';
import { Answer } from '../../shared/states/Answer';
import { Empty } from '../../shared/states/Empty';
import { api } from '../api';
import { Section } from '../parts/Section';
import { Entries } from './Entries';
import { Keep } from './Keep';

export const GROUPS = ['decisions', 'grants', 'people', 'data', 'jobs', 'agent'] as const;

const MOST = 50;

/** Where what a page shows is had as a file. */
function fileOf(group: string, before: number): string {
  const query = new URLSearchParams({ group, before: String(before), limit: String(MOST) });
  return `${origin()}/api/activity/export?${query}`;
}

/** The own log: everything that the agent and its people did. */
export default function RecordPage() {
  const { t } = useTexts('owner');
  const [search, setSearch] = useSearchParams();
  const group = GROUPS.find((one) => one === search.get('group')) ?? '';
  const before = Math.max(0, Number(search.get('before')) || 0);
  const query = api.useQuery('get', '/api/activity', {
    params: { query: { group, before, limit: MOST } },
  });
  const show = (narrowed: string, older = 0) =>
    setSearch({
      ...(narrowed ? { group: narrowed } : {}),
      ...(older ? { before: String(older) } : {}),
    });
  return (
    <PageFrame
      title={t('owner:record')}
      lead={t('owner:record.lead')}
      extra={
        <Select<string>
          aria-label={t('owner:record.group')}
          value={group}
          onChange={(value) => show(value)}
          popupMatchSelectWidth={false}
          options={[
            { value: '', label: t('owner:group.all') },
            ...GROUPS.map((one) => ({ value: one as string, label: t(`owner:group.${one}`) })),
          ]}
        />
      }
    >
      <Answer
        query={query}
        empty={{
          when: ({ entries }) => !entries.length,
          show: <Empty title={t('owner:last.none')} />,
        }}
      >
        {({ entries, older }) => (
          <Section title={t(group ? `owner:group.${group}` : 'owner:group.all')}>
            <Entries entries={entries} />
            <Flex gap="small">
              {before ? <Button onClick={() => show(group)}>{t('owner:record.newest')}</Button> : null}
              {older ? (
                <Button onClick={() => show(group, older)}>{t('owner:record.older')}</Button>
              ) : null}
              <Keep file={fileOf(group, before)} />
            </Flex>
          </Section>
        )}
      </Answer>
    </PageFrame>
  );
}
