import { Button } from 'antd';
import { useTexts } from '../../shared/i18n';
import { inWords } from './catalogue';
import { inputId, useDrawing } from './drawing';
import css from './Form.module.css';
import { at, dotted, type Path } from './json';
import { emptyOf, shapeOf, type Field } from './schema';
import { ValueInput } from './ValueInput';

const NESTED = new Set(['object', 'list', 'map']);

/** A field with its name, its input, what it means, and what is wrong with it. */
export function FieldRow({ field, path }: { field: Field; path: Path }) {
  const { t } = useTexts('canvas');
  const { catalogue, request, language, put, problems, comments } = useDrawing();
  const value = at(request, path);
  const shape = shapeOf(field.schema, catalogue);
  const id = inputId(path);
  const title = inWords(field.title ?? undefined, language) || field.name;
  const wrong = problems.filter((one) => dotted(one.path) === dotted(path));
  const nested = NESTED.has(shape.is);
  const optional = !field.required && nested && shape.is === 'object';
  const absent = optional && (value === undefined || value === null);
  const labelled = nested ? { id: `${id}-label` } : { htmlFor: id };
  return (
    <div
      className={css['row']}
      id={`${id}-row`}
      tabIndex={-1}
      {...(nested ? { role: 'group', 'aria-labelledby': `${id}-label` } : {})}
    >
      <div className={css['head']}>
        {nested ? (
          <span {...labelled} className={css['label']}>
            {title}
          </span>
        ) : (
          <label {...labelled} className={css['label']}>
            {title}
          </label>
        )}
        {field.unit ? <span className={css['unit']}>{inWords(field.unit, language)}</span> : null}
        {optional ? (
          <Button
            size="small"
            id={absent ? id : undefined}
            onClick={() => put(path, absent ? emptyOf(field.schema, catalogue) : undefined)}
            aria-label={t(absent ? 'canvas:set.of' : 'canvas:unset.of', { name: title })}
          >
            {t(absent ? 'canvas:set' : 'canvas:unset')}
          </Button>
        ) : null}
      </div>
      {absent ? null : <ValueInput field={field} shape={shape} path={path} value={value} title={title} />}
      {field.description ? (
        <p id={`${id}-hint`} className={css['hint']}>
          {inWords(field.description, language)}
        </p>
      ) : null}
      {path.length === 1 && comments[dotted(path)] ? (
        <p className={css['comment']}>{comments[dotted(path)]}</p>
      ) : null}
      {wrong.map((one) => (
        <p key={one.message} className={css['problem']}>
          {one.message} {one.hint}
        </p>
      ))}
    </div>
  );
}
