import { Button, Card, Select, Space, Tag } from 'antd';
import { useTexts } from '../../shared/i18n';
import { connects, inWords, kindOf, nameBeside, takes, usualOutput, type Port } from './catalogue';
import { Condition } from './Condition';
import { useDrawing } from './drawing';
import css from './Form.module.css';
import { PIPELINE, type Step } from './draft';

/** The graph as a list, for people who do not drag: the same steps, connected by choosing. */
export function StepList() {
  const { t } = useTexts('canvas');
  const { steps } = useDrawing();
  return (
    <ol className={css['items']} aria-label={t('canvas:steps')}>
      {steps.map((one) => (
        <li key={one.id}>
          <Entry step={one} />
        </li>
      ))}
    </ol>
  );
}

function Entry({ step }: { step: Step }) {
  const { t } = useTexts('canvas');
  const { catalogue, language, chosen, choose, remove, problems, request, steps } = useDrawing();
  const component = kindOf(catalogue, step.kind);
  const label = inWords(component?.label, language) || step.kind;
  const name = request['kind'] === PIPELINE ? nameBeside(label, step.id) : '';
  const wrong = problems.filter((one) => one.step === step.id).length;
  return (
    <Card
      size="small"
      title={
        <Space size="small">
          {label}
          {name ? <Tag>{name}</Tag> : null}
          {wrong ? <Tag color="error">{t('canvas:problems', { count: wrong })}</Tag> : null}
        </Space>
      }
      extra={
        <Space size="small">
          <Button
            size="small"
            type={chosen === step.id ? 'primary' : 'default'}
            aria-pressed={chosen === step.id}
            onClick={() => choose(step.id)}
            aria-label={t('canvas:open.of', { name: step.id })}
          >
            {t('canvas:open')}
          </Button>
          <Button size="small" onClick={() => remove(step.id)} aria-label={t('canvas:unset.of', { name: step.id })}>
            {t('canvas:unset')}
          </Button>
        </Space>
      }
    >
      {steps.length > 1 ? <Connections step={step} /> : t('canvas:alone')}
    </Card>
  );
}

/** What a step takes from others, by choosing; and after which others it runs. */
export function Connections({ step }: { step: Step }) {
  const { catalogue } = useDrawing();
  return (
    <div className={css['fields']}>
      {takes(kindOf(catalogue, step.kind)).map((port) => (
        <Input key={port.name} step={step} port={port} />
      ))}
      <Condition step={step} />
      <Needs step={step} />
    </div>
  );
}

function Input({ step, port }: { step: Step; port: Port }) {
  const { t } = useTexts('canvas');
  const { catalogue, language, steps, edges, connect, disconnect } = useDrawing();
  const here = edges.filter((one) => one.to === step.id && one.input === port.name);
  const label = inWords(port.label, language);
  const options = steps.flatMap((one) => {
    const output = usualOutput(catalogue, one.kind, port.type);
    const fits = one.id !== step.id && connects(catalogue, one.kind, output, step.kind, port.name);
    return fits ? [{ value: one.id, label: one.id, output }] : [];
  });
  const set = (chosen: string[]) => {
    const gone = here.find((one) => !chosen.includes(one.from));
    const come = options.find((one) => chosen.includes(one.value) && !here.some((each) => each.from === one.value));
    if (come) connect({ from: come.value, output: come.output, to: step.id, input: port.name });
    else if (gone) disconnect(gone);
  };
  const id = `takes-${step.id}-${port.name}`;
  const from = here.map((one) => one.from);
  return (
    <div className={css['row']}>
      <label htmlFor={id}>{t('canvas:takes', { name: label })}</label>
      {port.many ? (
        <Select id={id} mode="multiple" options={options} value={from} onChange={set} placeholder={t('canvas:nowhere')} />
      ) : (
        <Select
          id={id}
          allowClear
          options={options}
          value={from[0] ?? null}
          onChange={(one?: string) => set(one ? [one] : [])}
          placeholder={t('canvas:nowhere')}
        />
      )}
    </div>
  );
}

function Needs({ step }: { step: Step }) {
  const { t } = useTexts('canvas');
  const { steps, edges, connect, disconnect } = useDrawing();
  const here = edges.filter((one) => one.to === step.id && one.input === '');
  const options = steps.filter((one) => one.id !== step.id).map((one) => ({ value: one.id, label: one.id }));
  const id = `needs-${step.id}`;
  return (
    <div className={css['row']}>
      <label htmlFor={id}>{t('canvas:after')}</label>
      <Select
        id={id}
        mode="multiple"
        options={options}
        value={here.map((one) => one.from)}
        placeholder={t('canvas:nowhere')}
        onChange={(chosen: string[]) => {
          const come = chosen.find((one) => !here.some((each) => each.from === one));
          const gone = here.find((one) => !chosen.includes(one.from));
          if (come) connect({ from: come, output: '', to: step.id, input: '' });
          else if (gone) disconnect(gone);
        }}
      />
    </div>
  );
}
