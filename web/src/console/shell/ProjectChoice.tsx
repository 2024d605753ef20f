import { Select } from 'antd';
import { useTexts } from '../../shared/i18n';
import { useProject, useProjects } from '../project';

/** Chooses the project whose things are shown. */
export function ProjectChoice() {
  const { t } = useTexts('shell');
  const projects = useProjects();
  const [project, choose] = useProject();
  const options = (projects.data?.items ?? []).map((one) => ({ value: one.id, label: one.name }));
  return (
    <Select
      aria-label={t('shell:project')}
      showSearch={{ optionFilterProp: 'label' }}
      loading={projects.isPending}
      value={project}
      onChange={choose}
      popupMatchSelectWidth={320}
      style={{ minWidth: 200, maxWidth: 320 }}
      options={[{ value: '', label: t('shell:project.all') }, ...options]}
    />
  );
}
