import { Tag } from 'antd';
import { useTexts } from '../i18n';

const COLOURS: Record<string, string> = {
  open: 'default',
  approved: 'success',
  disputed: 'warning',
  closed: 'warning',
  paid: 'success',
  superseded: 'default',
  void: 'error',
};

/** Where a settlement stands, in words; the colour only supports them. */
export function SettlementState({ state }: { state: string }) {
  const { t, has } = useTexts('revenue');
  const key = `revenue:state.${state}`;
  return <Tag color={COLOURS[state] ?? 'default'}>{has(key) ? t(key) : state}</Tag>;
}
