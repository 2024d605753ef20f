import { ArrowDownOutlined, ArrowUpOutlined, DeleteOutlined } from '@ant-design/icons';
import { Button, Card, Dropdown, Space } from 'antd';
import { useTexts } from '../../shared/i18n';
import { inWords, type Schema } from './catalogue';
import { inputId, useDrawing } from './drawing';
import css from './Form.module.css';
import { isMembers, type Json, type Path } from './json';
import { emptyOf, fieldOf, shapeOf, type Field } from './schema';
import { variantOf } from './variants';
import { ValueInput } from './ValueInput';

type Props = { field: Field; item: Schema; path: Path; value: Json | undefined; title: string };

/** Parts in their order: each can be moved, changed and taken away. */
export function ItemList({ field, item, path, value, title }: Props) {
  const { t } = useTexts('canvas');
  const { catalogue, language, put } = useDrawing();
  const listed = Array.isArray(value) ? value : [];
  const shape = shapeOf(item, catalogue);
  const inner = fieldOf('', item, field);
  const kinds = shape.is === 'variants' ? shape.variants : [];
  const named = (one: Json, index: number): string => {
    const variant = inWords(variantOf(one, kinds, catalogue)?.label ?? undefined, language);
    const own = isMembers(one) ? (one['name'] ?? one['column']) : one;
    const said = [variant, typeof own === 'string' ? own : ''].filter(Boolean).join(': ');
    return said || `${title} ${index + 1}`;
  };
  const swap = (index: number, by: number) => {
    const next = [...listed];
    const [moved] = next.splice(index, 1);
    if (moved !== undefined) next.splice(index + by, 0, moved);
    put(path, next);
  };
  const drop = (index: number) => {
    const next = listed.filter((_, at) => at !== index);
    put(path, next.length || field.required ? next : undefined);
  };
  const add = (first: Json) => put(path, [...listed, first]);
  return (
    <>
      <ol className={css['items']}>
        {listed.map((one, index) => (
          <li key={index}>
            <Card
              size="small"
              title={named(one, index)}
              id={`${inputId([...path, index])}-row`}
              tabIndex={-1}
              extra={
                <Space size={2}>
                  <Button
                    size="small"
                    type="text"
                    icon={<ArrowUpOutlined />}
                    disabled={index === 0}
                    onClick={() => swap(index, -1)}
                    aria-label={t('canvas:up', { name: named(one, index) })}
                  />
                  <Button
                    size="small"
                    type="text"
                    icon={<ArrowDownOutlined />}
                    disabled={index === listed.length - 1}
                    onClick={() => swap(index, 1)}
                    aria-label={t('canvas:down', { name: named(one, index) })}
                  />
                  <Button
                    size="small"
                    type="text"
                    icon={<DeleteOutlined />}
                    onClick={() => drop(index)}
                    aria-label={t('canvas:unset.of', { name: named(one, index) })}
                  />
                </Space>
              }
            >
              <ValueInput
                field={inner}
                shape={shape}
                path={[...path, index]}
                value={one}
                title={named(one, index)}
              />
            </Card>
          </li>
        ))}
      </ol>
      {kinds.length ? (
        <Dropdown
          trigger={['click']}
          menu={{
            items: kinds.map((one) => ({
              key: one.key,
              label: inWords(one.label ?? undefined, language) || one.key,
            })),
            onClick: ({ key }) => add(kinds.find((one) => one.key === key)?.first ?? {}),
          }}
        >
          <Button id={inputId(path)}>{t('canvas:more', { name: title })}</Button>
        </Dropdown>
      ) : (
        <Button id={inputId(path)} onClick={() => add(emptyOf(item, catalogue))}>
          {t('canvas:more', { name: title })}
        </Button>
      )}
    </>
  );
}
