import { AutoComplete, Button, Card, Flex } from 'antd';
import { useState } from 'react';
import { useTexts } from '../../shared/i18n';
import type { Schema } from './catalogue';
import { inputId, useDrawing } from './drawing';
import css from './Form.module.css';
import { isMembers, type Json, type Path } from './json';
import { emptyOf, fieldOf, shapeOf, type Field } from './schema';
import { ValueInput } from './ValueInput';

type Props = { field: Field; schema: Schema; path: Path; value: Json | undefined };

/** Values by their names: what each party gives, for example. */
export function MapInput({ field, schema, path, value }: Props) {
  const { t } = useTexts('canvas');
  const { catalogue, picks, put } = useDrawing();
  const [name, write] = useState('');
  const members = isMembers(value) ? value : {};
  const shape = shapeOf(schema, catalogue);
  const inner = fieldOf(name, schema);
  const free = (picks['party'] ?? []).filter((one) => !(one.value in members));
  const add = () => {
    if (!name || name in members) return;
    put([...path, name], emptyOf(schema, catalogue));
    write('');
  };
  return (
    <div className={css['items']}>
      {Object.entries(members).map(([key, one]) => (
        <Card
          key={key}
          size="small"
          title={key}
          extra={
            <Button
              size="small"
              onClick={() => put([...path, key], undefined)}
              aria-label={t('canvas:unset.of', { name: key })}
            >
              {t('canvas:unset')}
            </Button>
          }
        >
          <label htmlFor={inputId([...path, key])} className={css['hidden']}>
            {key}
          </label>
          <ValueInput field={{ ...inner, name: key }} shape={shape} path={[...path, key]} value={one} title={key} />
        </Card>
      ))}
      <Flex gap="small">
        <AutoComplete
          id={inputId(path)}
          aria-label={t('canvas:map.name')}
          className={css['wide'] ?? ''}
          options={field.name === 'inputs' || field.name === 'columns' ? free : []}
          value={name}
          onChange={write}
          placeholder={t('canvas:map.name')}
        />
        <Button onClick={add} disabled={!name || name in members}>
          {t('canvas:map.add')}
        </Button>
      </Flex>
    </div>
  );
}
