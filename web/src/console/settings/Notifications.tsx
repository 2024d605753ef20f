import { Checkbox, Form, Select, Table, Tag } from 'antd';
import { api, http, type Schemas } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Answer } from '../../shared/states/Answer';
import { Failed } from '../../shared/states/Failed';
import { Address } from './Address';
import { useDeed } from './deeds';

type Preferences = Schemas['PreferencesShown'];
type Change = Partial<Pick<Preferences, 'language' | 'silenced'>> & { mailed?: string[] };
type Kind = Schemas['KindShown'];
const PATH = '/api/v1/notifications/preferences';

/** Whether a kind is in a list after a change of one mark. */
export function marked(list: readonly string[], kind: string, wanted: boolean): string[] {
  return wanted ? [...new Set([...list, kind])].sort() : list.filter((one) => one !== kind);
}

/** The kinds that are mailed: those that were chosen, else those that matter. */
export function mailedOf(chosen: Preferences, kinds: readonly Kind[]): string[] {
  return chosen.mailed ?? kinds.filter((one) => one.severity !== 'info').map((one) => one.name);
}

/** What one is told, where, and in which language. */
export function Notifications() {
  const preferences = api.useQuery('get', PATH);
  const kinds = api.useQuery('get', '/api/v1/notifications/kinds', {}, { staleTime: Infinity });
  return (
    <Answer query={preferences}>
      {(chosen) => (
        <Answer query={kinds}>{(page) => <Choice chosen={chosen} kinds={page.items} />}</Answer>
      )}
    </Answer>
  );
}

function Choice({ chosen, kinds }: { chosen: Preferences; kinds: Kind[] }) {
  const { t, has } = useTexts('settings');
  const change = useDeed((body: Change) => http.PATCH(PATH, { body }), PATH);
  const mailed = mailedOf(chosen, kinds);
  const name = (kind: Kind) =>
    has(`words:notice.${kind.name}`) ? t(`words:notice.${kind.name}`) : kind.name;
  return (
    <>
      <Address chosen={chosen} />
      <Form layout="vertical" style={{ maxWidth: 420 }}>
        <Form.Item label={t('settings:told.language')} htmlFor="told">
          <Select
            id="told"
            value={chosen.language}
            onChange={(language) => change.mutate({ language })}
            options={[
              { value: 'zh', label: t('settings:language.zh') },
              { value: 'en', label: t('settings:language.en') },
            ]}
          />
        </Form.Item>
      </Form>
      {change.isError ? <Failed error={change.error} /> : null}
      <Table<Kind>
        size="small"
        rowKey="name"
        pagination={false}
        scroll={{ x: 640 }}
        dataSource={kinds}
        columns={[
          {
            title: t('settings:told.what'),
            render: (_, kind) => (
              <>
                {name(kind)}{' '}
                {kind.severity === 'info' ? null : (
                  <Tag color={kind.severity === 'critical' ? 'error' : 'warning'}>
                    {t(`words:severity.${kind.severity}`)}
                  </Tag>
                )}
              </>
            ),
          },
          {
            title: t('settings:told.inbox'),
            width: 140,
            render: (_, kind) => (
              <Checkbox
                aria-label={t('settings:told.inbox.of', { kind: name(kind) })}
                checked={!chosen.silenced.includes(kind.name)}
                disabled={kind.severity === 'critical' || change.isPending}
                onChange={(event) =>
                  change.mutate({
                    silenced: marked(chosen.silenced, kind.name, !event.target.checked),
                  })
                }
              />
            ),
          },
          {
            title: t('settings:told.mail'),
            width: 140,
            render: (_, kind) => (
              <Checkbox
                aria-label={t('settings:told.mail.of', { kind: name(kind) })}
                checked={mailed.includes(kind.name)}
                disabled={!chosen.confirmed || change.isPending}
                onChange={(event) =>
                  change.mutate({ mailed: marked(mailed, kind.name, event.target.checked) })
                }
              />
            ),
          },
        ]}
      />
    </>
  );
}
