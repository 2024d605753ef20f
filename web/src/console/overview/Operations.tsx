import { Alert, Descriptions } from 'antd';
import type { Schemas } from '../../api/client';
import { bytes, number } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { usePreferences } from '../../shared/preferences';
import { Panel } from './Panel';

type Platform = Schemas['Platform'];

/** What operators look at: the log's head, who cosigned it, and the disks. */
export function Operations({ platform }: { platform: Platform }) {
  const { t, has } = useTexts('overview');
  const { language } = usePreferences();
  const names = (all: string[]) => (all.length ? all.join(', ') : t('overview:platform.nobody'));
  const part = (name: string) => {
    const key = name.replaceAll(' ', '-');
    return has(`overview:part.${key}`) ? t(`overview:part.${key}`) : name;
  };
  return (
    <Panel title={t('overview:platform')}>
      {platform.held ? <Alert type="error" showIcon title={t('overview:platform.held')} /> : null}
      <Descriptions
        size="small"
        column={1}
        items={[
          {
            key: 'size',
            label: t('overview:platform.size'),
            children: number(platform.size, language),
          },
          { key: 'origin', label: t('overview:platform.origin'), children: platform.origin },
          {
            key: 'cosigned',
            label: t('overview:platform.cosigned'),
            children: names(platform.cosigned),
          },
          { key: 'missing', label: t('overview:platform.missing'), children: names(platform.missing) },
          ...platform.storage.map((one) => ({
            key: String(one['part']),
            label: part(String(one['part'])),
            children: t('overview:platform.room', {
              holds: bytes(Number(one['holds']), language),
              free: bytes(Number(one['free']), language),
            }),
          })),
        ]}
      />
    </Panel>
  );
}
