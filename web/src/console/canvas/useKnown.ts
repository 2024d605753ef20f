/** What names of a job's spec are called in requests: the datasets and models of its project. */
import { api } from '../../api/client';
import type { Known } from './fromspec';

const MOST = 200;

/** Asked for once a job is known. */
export function useKnown(project: string): Known | null {
  const query = { params: { query: { project, limit: MOST } } };
  const asked = { enabled: project !== '' };
  const datasets = api.useQuery('get', '/api/v1/datasets', query, asked);
  const models = api.useQuery('get', '/api/v1/models', query, asked);
  if (project === '' || datasets.isPending || models.isPending) return null;
  return { datasets: datasets.data?.items ?? [], models: models.data?.items ?? [] };
}
