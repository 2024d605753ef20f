import { Alert, Button, Flex, Steps, Table, Tag, Typography, type TableColumnsType } from 'antd';
import { useTexts } from '../../shared/i18n';
import { PageFrame } from '../../shared/parts/PageFrame';
import { Failed } from '../../shared/states/Failed';
import { Loading } from '../../shared/states/Loading';
import { http } from '../api';
import { useDeed } from '../deeds';
import { Section } from '../parts/Section';
import { useMay } from '../session';
import { AnchorPlaces } from './AnchorPlaces';
import css from './Doctor.module.css';
import { commandIn, firstBroken, othersOf, stepsOf, type Check, type Step } from './steps';

const STATUS = { ok: 'finish', failed: 'error', skipped: 'wait' } as const;

/** Checks the agent and its way to the centre, step by step: the first broken one is open. */
export default function DoctorPage() {
  const { t } = useTexts('policies');
  const decider = useMay('decider');
  const examine = useDeed(async () => (await http.POST('/api/doctor')).data!.checks);
  return (
    <PageFrame
      title={t('policies:doctor')}
      lead={t('policies:doctor.lead')}
      extra={
        decider ? (
          <Button
            type="primary"
            loading={examine.isPending}
            onClick={() => examine.mutate(undefined)}
          >
            {t(examine.data ? 'policies:doctor.again' : 'policies:doctor.do')}
          </Button>
        ) : null
      }
    >
      <div aria-live="polite">
        {decider ? null : <Alert type="info" showIcon title={t('policies:doctor.role')} />}
        {examine.isPending ? <Loading what={t('policies:doctor.working')} /> : null}
        {examine.isError ? <Failed error={examine.error} /> : null}
        {examine.data && !examine.isPending ? <Found checks={examine.data} /> : null}
      </div>
      <div className={css['anchors']}>
        <AnchorPlaces />
      </div>
    </PageFrame>
  );
}

function Found({ checks }: { checks: readonly Check[] }) {
  const { t } = useTexts('policies');
  const steps = stepsOf(checks);
  const broken = firstBroken(steps);
  const bad = checks.filter((one) => !one.ok).length;
  return (
    <Flex vertical gap="middle">
      <Alert
        type={bad ? 'error' : 'success'}
        showIcon
        title={bad ? t('policies:doctor.bad', { count: bad }) : t('policies:doctor.good')}
      />
      <Section title={t('policies:way')}>
        <Steps
          orientation="vertical"
          size="small"
          current={broken < 0 ? steps.length : broken}
          items={steps.map((one, place) => ({
            key: one.name,
            status: STATUS[one.state],
            title: t(`policies:step.${one.name}`),
            subTitle: t(`policies:stepstate.${one.state}`),
            content: <StepFound step={one} open={place === broken} />,
          }))}
        />
      </Section>
      <Section title={t('policies:machine')}>
        <Others checks={othersOf(checks)} />
      </Section>
    </Flex>
  );
}

function StepFound({ step, open }: { step: Step; open: boolean }) {
  const { t } = useTexts('policies');
  if (!step.check) return null;
  return (
    <>
      <p>{step.check.message}</p>
      {open ? <p>{t(`policies:who.${step.name}`)}</p> : null}
      <Next check={step.check} />
    </>
  );
}

/** The next step of a check that failed: its words, its code, and the command to copy. */
function Next({ check }: { check: Check }) {
  const { t } = useTexts('policies');
  const command = commandIn(check.hint);
  const copy: [string, string] = [t('common:copy'), t('common:copied')];
  if (check.ok) return null;
  return (
    <>
      {check.hint ? <p>{check.hint}</p> : null}
      {command ? (
        <Typography.Text code copyable={{ text: command, tooltips: copy }}>
          {command}
        </Typography.Text>
      ) : null}
      {check.code ? (
        <p>
          {t('common:failed.code')} <code>{check.code}</code>
        </p>
      ) : null}
    </>
  );
}

function Others({ checks }: { checks: readonly Check[] }) {
  const { t, has } = useTexts('policies');
  const name = (one: string) => (has(`policies:check.${one}`) ? t(`policies:check.${one}`) : one);
  const columns: TableColumnsType<Check> = [
    { title: t('policies:check'), key: 'check', render: (_, one) => name(one.check) },
    {
      title: t('policies:state'),
      key: 'state',
      render: (_, one) => (
        <Tag color={one.ok ? 'success' : 'error'}>
          {t(`policies:stepstate.${one.ok ? 'ok' : 'failed'}`)}
        </Tag>
      ),
    },
    {
      title: t('policies:found'),
      key: 'found',
      render: (_, one) => (
        <>
          <p>{one.message}</p>
          <Next check={one} />
        </>
      ),
    },
  ];
  return (
    <Table<Check>
      size="small"
      columns={columns}
      dataSource={checks}
      rowKey={(one) => one.check}
      pagination={false}
      scroll={{ x: 600 }}
    />
  );
}
