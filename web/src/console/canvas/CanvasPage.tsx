import { useSearchParams } from 'react-router';
import { api } from '../../api/client';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Answer } from '../../shared/states/Answer';
import { Loading } from '../../shared/states/Loading';
import { useProject } from '../project';
import { useMe } from '../session';
import { Canvas } from './Canvas';
import type { Catalogue } from './catalogue';
import { requestOf } from './fromspec';
import type { Members } from './json';
import { useCatalogue } from './useCatalogue';
import { useKnown } from './useKnown';

/** Draws a new job: from nothing, from an earlier job, or from a template. */
export default function CanvasPage() {
  const { t } = useTexts('canvas');
  const [search] = useSearchParams();
  const me = useMe().data;
  const query = useCatalogue();
  const job = search.get('from') ?? '';
  if (query.data && me) {
    const template = search.get('template') ?? '';
    const common = { catalogue: query.data, person: me.id, template };
    return job ? <Again key={job} job={job} {...common} /> : <Fresh {...common} />;
  }
  return (
    <PageFrame title={t('canvas:title')}>
      <Answer query={query}>{() => null}</Answer>
    </PageFrame>
  );
}

type Props = { catalogue: Catalogue; person: string; template: string };

function Fresh(props: Props) {
  const [project] = useProject();
  return <Canvas {...props} start={null} project={project} />;
}

function Again({ job, ...props }: Props & { job: string }) {
  const { t } = useTexts('canvas');
  const query = api.useQuery('get', '/api/v1/jobs/{key}', { params: { path: { key: job } } });
  const [project] = useProject();
  const known = useKnown(query.data?.project ?? '');
  if (!query.data || !known) {
    return (
      <PageFrame title={t('canvas:title')}>
        <Answer query={query}>{() => <Loading />}</Answer>
      </PageFrame>
    );
  }
  const request = requestOf(query.data.spec as Members, props.catalogue, known);
  return <Canvas {...props} start={{ from: job, request }} project={project} />;
}
