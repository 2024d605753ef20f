import { useQuery, type UseQueryResult } from '@tanstack/react-query';
import { Alert, Form, Input, Select } from 'antd';
import { Link } from 'react-router';
import { http } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import type { Dataset } from '../data/columns';
import { useProject, useProjects } from '../project';

const MOST = 200;

/** The datasets that are granted to a project. */
export function useDatasets(project: string | undefined) {
  return useQuery({
    queryKey: ['get', '/api/v1/datasets', 'granted', project],
    enabled: !!project,
    queryFn: async (): Promise<Dataset[]> => {
      const query = { project: project ?? '', limit: MOST };
      const { data } = await http.GET('/api/v1/datasets', { params: { query } });
      return data!.items.filter((one) => !one.removed);
    },
  });
}

/** What a form begins with: the project of the header and its purpose. */
export function useBeginning(): { project?: string; purpose?: string } {
  const [chosen] = useProject();
  const project = (useProjects().data?.items ?? []).find((one) => one.id === chosen);
  return project ? { project: project.id, purpose: project.purpose } : {};
}

/** A dataset as it is offered: whose it is stands first. */
export function offered(datasets: readonly Dataset[]) {
  return datasets.map((one) => ({
    value: one.id,
    label: `${one.organisation}: ${one.title || one.name} (${one.rows})`,
  }));
}

/** What stands in for datasets that cannot be asked, and where nobody granted one: what to do. */
export function Offer({ query }: { query: UseQueryResult<Dataset[]> }) {
  const { t } = useTexts('ask');
  if (query.error) return <Failed error={query.error} retry={() => void query.refetch()} />;
  if (!query.data || query.data.length) return null;
  return (
    <Form.Item>
      <Alert
        type="info"
        showIcon
        title={t('ask:datasets.none')}
        description={t('ask:datasets.none.next')}
        action={<Link to="/data">{t('ask:datasets.none.data')}</Link>}
      />
    </Form.Item>
  );
}

type Props = { purpose: (said: string) => void };

/** Project, name and purpose: every question has them. */
export function Context({ purpose }: Props) {
  const { t } = useTexts('ask');
  const query = useProjects();
  const projects = (query.data?.items ?? []).filter((one) => !one.closed);
  return (
    <>
      {query.data && !projects.length ? (
        <Alert type="info" showIcon title={t('ask:project.none')} />
      ) : null}
      <Form.Item name="project" label={t('ask:project')}>
        <Select
          showSearch={{ optionFilterProp: 'label' }}
          onChange={(id: string) => purpose(projects.find((one) => one.id === id)?.purpose ?? '')}
          options={projects.map((one) => ({ value: one.id, label: one.name }))}
        />
      </Form.Item>
      <Form.Item name="name" label={t('ask:name')}>
        <Input maxLength={200} />
      </Form.Item>
      <Form.Item name="purpose" label={t('ask:purpose')} extra={t('ask:purpose.hint')}>
        <Input maxLength={200} />
      </Form.Item>
    </>
  );
}
