import { DisconnectOutlined, LockOutlined, WarningOutlined } from '@ant-design/icons';
import { Handle, Position, type Node, type NodeProps } from '@xyflow/react';
import { useTexts } from '../../shared/i18n';
import { StateTag } from '../../shared/parts/StateTag';
import { over } from '../jobs/words';
import { inWords, kindOf, nameBeside, stays, takes, type Port } from './catalogue';
import { PIPELINE, type Step } from './draft';
import { useDrawing } from './drawing';
import css from './Graph.module.css';
import { isMembers } from './json';

export type StepData = { step: Step; state: string };
const COLOURS = 6;

/** A step: what it is, what it takes and gives, whose data it uses, and how it goes. */
export function StepNode({ data, selected }: NodeProps<Node<StepData>>) {
  const { t } = useTexts('canvas');
  const { catalogue, language, request, problems, owners, away = [] } = useDrawing();
  const { step, state } = data;
  const component = kindOf(catalogue, step.kind);
  const wrong = problems.filter((one) => one.step === step.id).length;
  const classes = [css['node'], selected ? css['chosen'] : '', wrong ? css['faulty'] : ''];
  const label = inWords(component?.label, language) || step.kind;
  const name = request['kind'] === PIPELINE ? nameBeside(label, step.id) : '';
  const part = partOf(step);
  const named = catalogue.components.find((one) => one.id === `${step.kind}.${part}`);
  const rows = component?.inputs.find((one) => one.type === 'rows');
  return (
    <div className={classes.join(' ')}>
      <div className={css['title']}>
        <span>
          {label}
          {name ? <span className={css['id']}> {name}</span> : null}
        </span>
        {wrong ? <WarningOutlined aria-label={t('canvas:problems', { count: wrong })} /> : null}
        {state ? <StateTag state={state} /> : null}
      </div>
      {part ? (
        <div className={css['what']}>{named ? inWords(named.label, language) : part}</div>
      ) : null}
      <div className={css['ports']}>
        <div>
          <Handle type="target" position={Position.Left} id="order" className={css['handle'] ?? ''} style={{ top: 16 }} />
          {takes(component).map((one) => (
            <div key={one.name} className={css['port']}>
              <Handle type="target" position={Position.Left} id={one.name} />
              <PortName port={one} />
              {one.required ? ' *' : ''}
            </div>
          ))}
        </div>
        <div>
          <Handle type="source" position={Position.Right} id="order" style={{ top: 16 }} />
          {(component?.outputs ?? []).map((one) => (
            <div key={one.name} className={`${css['port']} ${css['out']}`}>
              <PortName port={one} />
              <Handle type="source" position={Position.Right} id={one.name} isConnectable={one.goes_on} />
            </div>
          ))}
        </div>
      </div>
      {owners.length ? (
        <div className={css['owners']}>
          {rows ? <PortName port={rows} /> : null}
          {owners.map((one, index) => (
            <span key={one} className={`${css['owner']} ${css[`owner${index % COLOURS}`]}`}>
              {one}
              {away.includes(one) && !over(state) ? <Away party={one} /> : null}
            </span>
          ))}
        </div>
      ) : null}
    </div>
  );
}

function Away({ party }: { party: string }) {
  const { t } = useTexts('canvas');
  const said = t('canvas:away.of', { party });
  return <DisconnectOutlined className={css['away'] ?? ''} role="img" aria-label={said} title={said} />;
}

function PortName({ port }: { port: Port }) {
  const { t } = useTexts('canvas');
  const { catalogue, language } = useDrawing();
  return (
    <span title={inWords(port.sentence, language)}>
      {stays(catalogue, port.type) ? (
        <LockOutlined aria-label={t('canvas:stays')} title={t('canvas:stays')} />
      ) : null}{' '}
      {inWords(port.label, language)}
    </span>
  );
}

/** The family or the program that a step runs. */
function partOf(step: Step): string {
  const { model, program } = step.body;
  const said = isMembers(model) ? model['family'] : isMembers(program) ? program['name'] : '';
  return typeof said === 'string' ? said : '';
}
