/** A form of the fields of a schema; fields that a beginner never touches are folded away. */
import { Collapse } from 'antd';
import { useEffect, useState } from 'react';
import { useTexts } from '../../shared/i18n';
import type { Schema } from './catalogue';
import { inputId, useDrawing } from './drawing';
import { FieldRow } from './FieldRow';
import css from './Form.module.css';
import { dotted, type Path } from './json';
import { fieldsOf, type Field } from './schema';

type Props = { schema: Schema; path: Path; show?: (field: Field) => boolean };

/** The form of an object that stands at a path of the request. */
export function SchemaForm({ schema, path, show = () => true }: Props) {
  const { catalogue } = useDrawing();
  const fields = fieldsOf(schema, catalogue.$defs).filter(show);
  const plain = fields.filter((one) => !one.expert);
  const expert = fields.filter((one) => one.expert);
  return (
    <div className={css['fields']}>
      {plain.map((one) => (
        <FieldRow key={one.name} field={one} path={[...path, one.name]} />
      ))}
      {expert.length ? <Expert fields={expert} path={path} /> : null}
    </div>
  );
}

function Expert({ fields, path }: { fields: Field[]; path: Path }) {
  const { t } = useTexts('canvas');
  const { wanted } = useDrawing();
  const [open, keep] = useState(false);
  const asked = wanted ? dotted(wanted.path) : '';
  const within = fields.some((one) => {
    const here = dotted([...path, one.name]);
    return asked === here || asked.startsWith(`${here}.`);
  });
  useEffect(() => {
    if (within) keep(true);
  }, [within, wanted]);
  return (
    <Collapse
      size="small"
      ghost
      activeKey={open ? ['expert'] : []}
      onChange={(keys) => keep(keys.length > 0)}
      items={[
        {
          key: 'expert',
          label: t('canvas:expert', { count: fields.length }),
          children: (
            <div className={css['fields']}>
              {fields.map((one) => (
                <FieldRow key={one.name} field={one} path={[...path, one.name]} />
              ))}
            </div>
          ),
        },
      ]}
    />
  );
}

/** Brings the field that a problem leads to into view, and gives it the focus. */
export function useWanted(): void {
  const { wanted } = useDrawing();
  useEffect(() => {
    if (!wanted) return undefined;
    const timer = setTimeout(() => {
      for (let count = wanted.path.length; count > 0; count -= 1) {
        const id = inputId(wanted.path.slice(0, count));
        const found = document.getElementById(id) ?? document.getElementById(`${id}-row`);
        if (!found) continue;
        found.scrollIntoView({ block: 'center' });
        found.focus();
        return;
      }
    }, 0);
    return () => clearTimeout(timer);
  }, [wanted]);
}
