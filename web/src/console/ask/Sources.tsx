import { useQuery, type UseQueryResult } from '@tanstack/react-query';
import { Alert, Form, Input, Select } from 'antd';
import { useEffect, useRef } from 'react';
import { Link } from 'react-router';
import { http } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { Failed } from '../../shared/states/Failed';
import type { Dataset } from '../data/columns';
import { useProject, useProjects } from '../project';
import { beginning, type Beginning } from './only';

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

/** What a form begins with: the project of the header, or the only one, and its purpose. */
export function useBeginning(): Beginning {
  const [chosen] = useProject();
  return beginning(useProjects().data?.items ?? [], chosen);
}

/** Tells a form of the project that it begins with, should the projects come after the form. */
export function useLateBeginning(project: string | undefined, begin: (said: Beginning) => void) {
  const said = useBeginning();
  const told = useRef(begin);
  useEffect(() => {
    told.current = begin;
  });
  const { project: first, purpose } = said;
  useEffect(() => {
    if (!project && first) told.current({ project: first, purpose });
    // Once, when the projects are there: whoever empties the field means it.
  }, [first, purpose]);
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
