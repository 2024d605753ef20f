import { Tag } from 'antd';
import { useTexts } from '../i18n';

const COLOURS: Record<string, string> = {
  draft: 'default',
  proposed: 'warning',
  approved: 'processing',
  admitted: 'processing',
  queued: 'default',
  running: 'processing',
  paused: 'warning',
  succeeded: 'success',
  failed: 'error',
  cancelled: 'default',
};

/** The state of a job or of something else, in words; the colour only supports them. */
export function StateTag({ state }: { state: string }) {
  const { t, has } = useTexts();
  const key = `words:state.${state}`;
  return <Tag color={COLOURS[state] ?? 'default'}>{has(key) ? t(`words:state.${state}`) : state}</Tag>;
}
