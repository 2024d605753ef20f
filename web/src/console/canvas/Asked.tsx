import { List, Space, Tag } from 'antd';
import { useTexts } from '../../shared/i18n';
import { asksOf } from './asked';
import type { Checked } from './useCheck';

/** What each owner will be asked to allow. */
export function Asked({ answer }: { answer: Checked }) {
  const { t } = useTexts('canvas');
  const asks = asksOf(answer.spec ?? {});
  return (
    <List
      size="small"
      header={<strong>{t('canvas:asked')}</strong>}
      dataSource={asks}
      rowKey="party"
      renderItem={(one) => (
        <List.Item>
          <Space wrap size="small">
            <strong>{one.party}</strong>
            <span>{one.dataset ? t('canvas:asked.dataset', { name: one.dataset }) : t('canvas:asked.compute')}</span>
            {one.columns.map((each) => (
              <Tag key={each}>{each}</Tag>
            ))}
          </Space>
        </List.Item>
      )}
    />
  );
}
