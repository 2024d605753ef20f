import { Button, Flex, Modal, Select } from 'antd';
import { useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { moment } from '../../shared/format';
import { usePreferences } from '../../shared/preferences';
import { Differences } from './Differences';
import type { Members } from './json';
import type { useDraft } from './useDraft';

type Props = { draft: ReturnType<typeof useDraft>; open: boolean; close: () => void };

/** What two versions of a draft say differently. */
export function CompareDialog({ draft, open, close }: Props) {
  const { t } = useTexts('canvas');
  const { language, zone } = usePreferences();
  const versions = new Map<string, { label: string; request: Members }>();
  if (draft.base) versions.set('base', { label: t('canvas:version.base'), request: draft.base });
  draft.kept.forEach((one, index) =>
    versions.set(`kept${index}`, {
      label: t('canvas:version.kept', { when: moment(one.at, language, zone) }),
      request: one.request,
    }),
  );
  const last = draft.past.at(-1);
  if (last) versions.set('last', { label: t('canvas:version.last'), request: last.request });
  versions.set('now', { label: t('canvas:version.now'), request: draft.request });
  const [left, setLeft] = useState('');
  const [right, setRight] = useState('now');
  const first = versions.get(left) ? left : ([...versions.keys()][0] ?? 'now');
  const options = [...versions].map(([value, { label }]) => ({ value, label }));
  const one = versions.get(first);
  const other = versions.get(right) ?? versions.get('now');
  return (
    <Modal open={open} onCancel={close} footer={null} width={760} title={t('canvas:compare')} destroyOnHidden>
      <Flex vertical gap="middle">
        <Flex gap="small" wrap>
          <Select aria-label={t('canvas:before')} options={options} value={first} onChange={setLeft} style={{ minWidth: 220 }} />
          <Select aria-label={t('canvas:now')} options={options} value={right} onChange={setRight} style={{ minWidth: 220 }} />
          <Button onClick={() => draft.keepVersion(Math.floor(Date.now() / 1000))}>{t('canvas:keep')}</Button>
          {first !== 'now' && one ? (
            <Button onClick={() => draft.become(one.request)}>{t('canvas:version.restore')}</Button>
          ) : null}
        </Flex>
        {one && other ? <Differences before={one.request} after={other.request} /> : null}
      </Flex>
    </Modal>
  );
}
