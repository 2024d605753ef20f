import { Alert, Button, Flex } from 'antd';
import { useMemo, useState } from 'react';
import { useNavigate, useParams } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { Id } from '../../shared/parts/Id';
import { PageFrame } from '../../shared/parts/PageFrame';
import { StateTag } from '../../shared/parts/StateTag';
import { usePreferences } from '../../shared/preferences';
import { Answer } from '../../shared/states/Answer';
import { absentOf } from '../jobs/absent';
import { Absences } from '../jobs/Absences';
import { PartsTable } from '../jobs/PartsTable';
import { partsOf } from '../jobs/parts';
import { useJob, useJobEvents, type Job } from '../jobs/useJob';
import { over } from '../jobs/words';
import css from './Canvas.module.css';
import type { Catalogue } from './catalogue';
import { edgesOf, PIPELINE, stepsOf } from './draft';
import { DrawingContext, type Drawing } from './drawing';
import { requestOf } from './fromspec';
import { Graph } from './Graph';
import { isMembers, type Json, type Members } from './json';
import { placed } from './layout';
import { useCatalogue } from './useCatalogue';

const NOBODY = { datasets: [], models: [] };
const nothing = () => undefined;
/** What does nothing where a graph is only looked at. */
const STILL = {
  picks: {},
  problems: [],
  comments: {},
  wanted: null,
  show: nothing,
  put: nothing,
  become: nothing,
  move: nothing,
  add: nothing,
  remove: nothing,
  connect: nothing,
  disconnect: nothing,
};

/** The graph of a job as it runs: nothing is changed here. */
export default function GraphPage() {
  const { job: key = '' } = useParams();
  const { t } = useTexts('canvas');
  const navigate = useNavigate();
  const query = useJob(key);
  const catalogue = useCatalogue();
  const job = query.data;
  return (
    <PageFrame
      title={job ? t('canvas:graph.of', { name: job.name }) : t('canvas:graph')}
      lead={
        <>
          <Id value={key} /> {job ? <StateTag state={job.state} /> : null}
        </>
      }
      extra={
        <Button onClick={() => void navigate(`/jobs/${encodeURIComponent(key)}`)}>{t('canvas:to.job')}</Button>
      }
    >
      <Answer query={query}>
        {(one) => (
          <Answer query={catalogue}>{(known) => <Running job={one} catalogue={known} />}</Answer>
        )}
      </Answer>
    </PageFrame>
  );
}

function Running({ job, catalogue }: { job: Job; catalogue: Catalogue }) {
  const { t } = useTexts('canvas');
  const { language } = usePreferences();
  const { events } = useJobEvents(job.id);
  const [chosen, choose] = useState('');
  const states = useMemo(() => {
    if (job.kind !== PIPELINE) return { [job.kind]: job.state };
    const begun = Object.fromEntries(partsOf(events).map((one) => [one.label, one.state]));
    const still = over(job.state) ? '' : 'waits';
    const steps = stepsOf(job.spec as Members);
    return { ...Object.fromEntries(steps.map((one) => [one.id, still])), ...begun };
  }, [job.kind, job.state, job.spec, events]);
  const drawing = useMemo((): Drawing => {
    const request = requestOf(job.spec as Members, catalogue, NOBODY);
    const steps = stepsOf(request);
    const edges = edgesOf(request, catalogue);
    const roster = job.spec['roster'] as Json | undefined;
    const owners = (Array.isArray(roster) ? roster : []).flatMap((one) =>
      isMembers(one) && typeof one['party'] === 'string' ? [one['party']] : [],
    );
    return {
      catalogue,
      language,
      request,
      steps,
      edges,
      owners,
      away: absentOf(job).map((one) => one.party),
      chosen,
      choose,
      places: placed(steps, edges, {}),
      ...STILL,
    };
  }, [catalogue, language, job, chosen]);
  return (
    <DrawingContext value={drawing}>
      <Flex vertical gap="middle">
        {drawing.away?.length ? (
          <Alert type="warning" showIcon title={t('canvas:away')} description={<Absences job={job} />} />
        ) : null}
        <div className={css['reads']}>
          <Graph reads states={states} />
        </div>
        <PartsTable events={events} />
      </Flex>
    </DrawingContext>
  );
}
