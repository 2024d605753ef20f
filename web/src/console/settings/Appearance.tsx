import { Form, Radio, Select } from 'antd';
import { moment } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { prefer, usePreferences } from '../../shared/preferences';

const OWN = Intl.DateTimeFormat().resolvedOptions().timeZone;

function zones(): string[] {
  return typeof Intl.supportedValuesOf === 'function' ? Intl.supportedValuesOf('timeZone') : [];
}

/** Language, light or dark, density, and the zone of times: kept in this browser. */
export function Appearance() {
  const { t } = useTexts('settings');
  const liked = usePreferences();
  const now = moment(Math.floor(Date.now() / 1000), liked.language, liked.zone);
  return (
    <Form layout="vertical" style={{ maxWidth: 480 }}>
      <p>{t('settings:appearance.lead')}</p>
      <Form.Item label={t('settings:language')} htmlFor="language">
        <Select
          id="language"
          value={liked.language}
          onChange={(language) => prefer({ language })}
          options={[
            { value: 'zh', label: t('settings:language.zh') },
            { value: 'en', label: t('settings:language.en') },
          ]}
        />
      </Form.Item>
      <Form.Item label={t('settings:theme')} id="theme">
        <Radio.Group
          aria-label={t('settings:theme')}
          value={liked.theme}
          onChange={(event) => prefer({ theme: event.target.value })}
          options={(['system', 'light', 'dark'] as const).map((value) => ({
            value,
            label: t(`settings:theme.${value}`),
          }))}
        />
      </Form.Item>
      <Form.Item label={t('settings:density')}>
        <Radio.Group
          aria-label={t('settings:density')}
          value={liked.density}
          onChange={(event) => prefer({ density: event.target.value })}
          options={(['comfortable', 'compact'] as const).map((value) => ({
            value,
            label: t(`settings:density.${value}`),
          }))}
        />
      </Form.Item>
      <Form.Item
        label={t('settings:zone')}
        htmlFor="zone"
        extra={t('settings:zone.now', { time: now })}
      >
        <Select
          id="zone"
          showSearch
          value={liked.zone}
          onChange={(zone) => prefer({ zone })}
          options={[
            { value: '', label: t('settings:zone.own', { zone: OWN }) },
            { value: 'UTC', label: 'UTC' },
            ...zones().map((value) => ({ value, label: value })),
          ]}
        />
      </Form.Item>
    </Form>
  );
}
