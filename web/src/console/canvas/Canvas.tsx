import { App, Button } from 'antd';
import { useCallback, useMemo, useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { usePreferences } from '../../shared/preferences';
import { Beginning } from './Beginning';
import css from './Canvas.module.css';
import { kindOf, type Catalogue } from './catalogue';
import { CompareDialog } from './CompareDialog';
import { deedsOf } from './deeds';
import { addable, copied, edgesOf, stepsOf, withStep } from './draft';
import { DrawingContext, type Drawing } from './drawing';
import { FileView } from './FileView';
import { Graph } from './Graph';
import { placed } from './layout';
import { Palette } from './Palette';
import { Panel } from './Panel';
import { located, type Problem } from './problems';
import { StepList } from './StepList';
import { Strip } from './Strip';
import { SubmitDialog } from './SubmitDialog';
import { TemplateDialog } from './TemplateDialog';
import { Tools, type View } from './Tools';
import { useCheck } from './useCheck';
import { useDraft, type Start } from './useDraft';
import { useKeys } from './useKeys';
import { usePicks } from './usePicks';

type Props = {
  catalogue: Catalogue;
  person: string;
  start: Start;
  project: string;
  /** The template that is asked for by the address. */
  template: string;
};

/** Drawing a job: the catalogue, the graph, the settings, and the strip below. */
export function Canvas({ catalogue, person, start, project, template }: Props) {
  const { t } = useTexts('canvas');
  const { message } = App.useApp();
  const { language } = usePreferences();
  const draft = useDraft(person, start, project);
  const { request } = draft;
  const check = useCheck(request, language);
  const { picks, owners, purposes } = usePicks(request);
  const [chosen, choose] = useState('');
  const [wanted, want] = useState<Drawing['wanted']>(null);
  const [comments, comment] = useState<Record<string, string>>({});
  const [view, look] = useState<View>('drawing');
  const [dialog, open] = useState<'' | 'compare' | 'submit' | 'template'>(template ? 'template' : '');
  const [first, prefer] = useState(template);
  const fill = (key: string) => {
    prefer(key);
    open('template');
  };
  const refuse = useCallback(() => void message.warning(t('canvas:refused')), [message, t]);
  const drawing = useMemo((): Drawing => {
    const steps = stepsOf(request);
    const edges = edgesOf(request, catalogue);
    return {
      catalogue,
      language,
      request,
      steps,
      edges,
      picks,
      owners,
      chosen,
      choose,
      wanted,
      comments,
      places: placed(steps, edges, draft.places),
      problems: located(request, check.answer?.problems ?? []),
      show: (problem: Problem) => {
        choose(problem.step);
        want((before) => ({ path: problem.path, turn: (before?.turn ?? 0) + 1 }));
      },
      become: draft.become,
      move: draft.move,
      ...deedsOf({ request, catalogue, steps, chosen, choose, purposes, become: draft.become, refuse }),
    };
  }, [
    catalogue,
    language,
    request,
    picks,
    owners,
    purposes,
    chosen,
    wanted,
    comments,
    draft.places,
    draft.become,
    draft.move,
    check.answer,
    refuse,
  ]);
  useKeys({
    undo: draft.undo,
    redo: draft.redo,
    copy: () => (chosen ? copied(request, chosen, catalogue) : null),
    paste: (body) => {
      const kind = kindOf(catalogue, String(body['kind']));
      if (!kind || !addable(request, kind, catalogue)) return refuse();
      const made = withStep(request, body);
      draft.become(made.request);
      choose(made.id);
    },
  });
  const fresh = check.request === request && !check.running;
  const ready = fresh && !!check.answer?.digest && !drawing.problems.length;
  return (
    <DrawingContext value={drawing}>
      <PageFrame
        title={t('canvas:title')}
        lead={t('canvas:lead')}
        extra={
          <Button type="primary" disabled={!ready} onClick={() => open('submit')}>
            {t('canvas:submit')}
          </Button>
        }
      >
        <div className={css['canvas']}>
          <div className={`${css['box']} ${css['palette']}`}>
            <Palette />
          </div>
          <div className={`${css['box']} ${css['middle']}`}>
            <Tools draft={draft} view={view} look={look} compare={() => open('compare')} template={() => fill('')} />
            {drawing.steps.length ? null : <Beginning template={fill} />}
            {view === 'drawing' ? <Graph /> : null}
            {view === 'list' ? (
              <div className={css['list']}>
                <StepList />
              </div>
            ) : null}
            {view === 'file' ? <FileView request={request} become={draft.become} /> : null}
          </div>
          <div className={`${css['box']} ${css['panel']}`}>
            <Panel answer={check.answer} />
          </div>
          <Strip check={check} />
        </div>
      </PageFrame>
      <CompareDialog draft={draft} open={dialog === 'compare'} close={() => open('')} />
      {dialog === 'template' ? (
        <TemplateDialog
          first={first}
          project={typeof request['project'] === 'string' ? request['project'] : project}
          close={() => open('')}
          begin={(made, from, said) => {
            draft.begin(made, from);
            comment(said);
            choose('');
          }}
        />
      ) : null}
      {dialog === 'submit' && check.answer ? (
        <SubmitDialog
          open
          request={request}
          base={draft.base}
          answer={check.answer}
          person={person}
          close={() => open('')}
        />
      ) : null}
    </DrawingContext>
  );
}
