/** What pickers offer: projects, datasets that were granted, their columns, members, models, jobs. */
import { useMemo } from 'react';
import { api, type Schemas } from '../../api/client';
import { useProjects } from '../project';
import type { Choice, Picks } from './drawing';
import type { Members } from './json';

type Dataset = Pick<Schemas['Dataset'], 'id' | 'name' | 'title' | 'organisation'> & {
  columns: { name: string }[];
};
const MOST = 200;

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}

type Found = {
  picks: Picks;
  /** Of the chosen datasets, in their order. */
  owners: string[];
  /** The first dataset of each organisation: what a job begins with. */
  each: string[];
  /** Project → its purpose. */
  purposes: Record<string, string>;
};

/** The choices for a draft, and the owners of its datasets. */
export function usePicks(request: Members): Found {
  const project = typeof request['project'] === 'string' ? request['project'] : '';
  const projects = useProjects().data?.items;
  const known = projects?.some((one) => one.id === project) ?? false;
  const query = { params: { query: { project, limit: MOST } } };
  const asked = { enabled: known };
  const datasets = api.useQuery('get', '/api/v1/datasets', query, asked).data?.items;
  const models = api.useQuery('get', '/api/v1/models', query, asked).data?.items;
  const jobs = api.useQuery('get', '/api/v1/jobs', query, asked).data?.items;
  const chosen = strings(request['datasets']).join('\n');
  return useMemo(() => {
    const listed: Dataset[] = (datasets ?? []) as unknown as Dataset[];
    const of = chosen.split('\n').map((key) => listed.find((one) => one.id === key || one.name === key));
    const mine = of.filter((one) => one !== undefined);
    const here = projects?.find((one) => one.id === project);
    const members = strings((here as { members?: unknown } | undefined)?.members);
    const columns = (mine.length ? mine : listed).flatMap((one) => one.columns.map(({ name }) => name));
    const picks: Picks = {
      project: (projects ?? []).map((one) => ({ value: one.id, label: one.name })),
      dataset: listed.map((one) => ({
        value: one.id,
        label: `${one.title || one.name} (${one.organisation})`,
      })),
      column: plain(columns),
      party: plain([...members, ...mine.map((one) => one.organisation)]),
      purpose: plain(here?.purpose ? [here.purpose] : []),
      model: (models ?? []).map((one) => ({
        value: one.id,
        label: `${one.name} ${one.version} (${one.id})`,
      })),
      job: (jobs ?? []).map((one) => ({ value: one.id, label: `${one.name} (${one.id})` })),
    };
    const purposes = Object.fromEntries((projects ?? []).map((one) => [one.id, one.purpose]));
    const each = listed.filter(
      (one, at) => listed.findIndex((other) => other.organisation === one.organisation) === at,
    );
    return {
      picks,
      owners: [...new Set(mine.map((one) => one.organisation))],
      each: each.map((one) => one.id),
      purposes,
    };
  }, [projects, project, datasets, models, jobs, chosen]);
}

function plain(values: string[]): Choice[] {
  return [...new Set(values)].map((value) => ({ value, label: value }));
}
