/** What Ctrl-K finds: by name, or by an id of any kind. */
import { http } from '../../api/client';
import type { Section } from '../../shared/pages';

export type Found = { key: string; name: string; section: Section; to: string };

/** What ids begin with, and where the object's page is. */
const IDS: Record<string, [Section, string]> = {
  job: ['jobs', '/jobs/'],
  prj: ['projects', '/projects/'],
  dst: ['data', '/data/'],
  mdl: ['models', '/models/'],
  usr: ['administration', '/administration/people/'],
};
const AT_MOST = 200;

/** The object of an id, whether or not it is in a list that was loaded. */
export function byId(text: string): Found[] {
  const found = /^([a-z]{3})_[0-9a-z]{4,64}$/.exec(text.trim());
  const place = found?.[1] ? IDS[found[1]] : undefined;
  const id = text.trim();
  return place ? [{ key: id, name: id, section: place[0], to: place[1] + id }] : [];
}

/** Those whose name or id holds the text, the ones that begin with it first. */
export function matching(all: readonly Found[], text: string): Found[] {
  const sought = text.trim().toLowerCase();
  if (!sought) return [];
  const at = (one: Found) => {
    const name = one.name.toLowerCase().indexOf(sought);
    return name >= 0 ? name : one.key.toLowerCase().includes(sought) ? 1000 : -1;
  };
  return all
    .map((one) => [at(one), one] as const)
    .filter(([place]) => place >= 0)
    .sort(([a], [b]) => a - b)
    .map(([, one]) => one);
}

/** The newest objects that the caller sees. */
export async function everything(): Promise<Found[]> {
  const params = { params: { query: { limit: AT_MOST } } };
  const [projects, datasets, jobs, models, organisations] = await Promise.all([
    http.GET('/api/v1/projects', params),
    http.GET('/api/v1/datasets', params),
    http.GET('/api/v1/jobs', params),
    http.GET('/api/v1/models', params),
    http.GET('/api/v1/organisations', params),
  ]);
  const of = (
    list: { id: string; name: string }[] | undefined,
    section: Section,
    address: string,
  ): Found[] =>
    (list ?? []).map((one) => ({
      key: one.id,
      name: one.name,
      section,
      to: `${address}${encodeURIComponent(one.id)}`,
    }));
  return [
    ...of(projects.data?.items, 'projects', '/projects/'),
    ...of(datasets.data?.items, 'data', '/data/'),
    ...of(jobs.data?.items, 'jobs', '/jobs/'),
    ...of(models.data?.items, 'models', '/models/'),
    ...of(organisations.data?.items, 'organisations', '/organisations/'),
  ];
}
