import { Tag } from 'antd';
import { useRequestWords } from './words';

const COLOURS: Record<string, string> = {
  waiting: 'warning',
  approved: 'success',
  rejected: 'error',
  damaged: 'error',
};

/** The state of a request, in words; the colour only supports them. */
export function RequestState({ state }: { state: string }) {
  const words = useRequestWords();
  return <Tag color={COLOURS[state] ?? 'default'}>{words.state(state)}</Tag>;
}
