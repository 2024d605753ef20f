import { useQueryClient } from '@tanstack/react-query';
import { Steps, Typography } from 'antd';
import { api, type Schemas } from '../../api/client';
import { stale } from '../../api/queries';
import { useTexts } from '../../shared/i18n';
import { useLive } from '../../shared/live';
import { Answer } from '../../shared/states/Answer';

type Step = Schemas['LinkStep'];
type State = Schemas['StepState'];
const STATUS = { ok: 'finish', warning: 'process', failed: 'error', unknown: 'wait' } as const;

/** The first step that is not in order: the one that people look at. */
export function firstBroken(steps: readonly { state: State }[]): number {
  const failed = steps.findIndex((one) => one.state === 'failed');
  if (failed >= 0) return failed;
  return steps.findIndex((one) => one.state === 'warning');
}

/** An agent's link step by step, as the centre sees it: cause, who can mend it, and the command. */
export function LinkSteps({ agent }: { agent: { id: string; party: string } }) {
  const { t } = useTexts('organisations');
  const queries = useQueryClient();
  const query = api.useQuery('get', '/api/v1/agents/{key}/link', {
    params: { path: { key: agent.id } },
  });
  useLive(['link'], ({ data }) => {
    if (data['party'] === agent.party) stale(queries, '/api/v1/agents/{key}/link');
  });
  return (
    <Answer query={query}>
      {({ steps }) => (
        <>
          <Steps
            orientation="vertical"
            size="small"
            current={firstBroken(steps)}
            items={steps.map((one) => ({
              key: one.name,
              status: STATUS[one.state],
              title: t(`organisations:step.${one.name}`),
              subTitle: t(`organisations:step.state.${one.state}`),
              content: one.state === 'ok' ? null : <Cause step={one} />,
            }))}
          />
          <Typography.Text type="secondary">{t('organisations:step.before')}</Typography.Text>
        </>
      )}
    </Answer>
  );
}

function Cause({ step }: { step: Step }) {
  const { t } = useTexts('organisations');
  const copy: [string, string] = [t('common:copy'), t('common:copied')];
  return (
    <>
      {step.cause ? <p>{step.cause}</p> : null}
      {step.who ? <p>{t(`organisations:step.who.${step.who}`)}</p> : null}
      {step.command ? (
        <Typography.Text code copyable={{ text: step.command, tooltips: copy }}>
          {step.command}
        </Typography.Text>
      ) : null}
    </>
  );
}
