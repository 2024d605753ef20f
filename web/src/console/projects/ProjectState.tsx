import { Tag } from 'antd';
import { useTexts } from '../../shared/i18n';
import { useNow } from '../../shared/parts/Moment';
import type { Project } from '../project';
import { stateOf, type ProjectState as State } from './state';

const COLOURS: Record<State, string> = {
  open: 'success',
  frozen: 'warning',
  ended: 'default',
  archived: 'default',
};

/** The state of a project, in words. */
export function ProjectState({ project }: { project: Project }) {
  const { t } = useTexts('projects');
  const state = stateOf(project, useNow());
  return <Tag color={COLOURS[state]}>{t(`projects:state.${state}`)}</Tag>;
}
