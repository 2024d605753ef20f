import { PlusOutlined } from '@ant-design/icons';
import { Button, Collapse, Input, List, Tag, Tooltip } from 'antd';
import { useMemo, useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { found, inWords, kindOf, type Component } from './catalogue';
import { addable } from './draft';
import { useDrawing } from './drawing';
import { Learns } from './Learns';
import css from './Palette.module.css';

/** What a component is dragged as. */
export const DRAGGED = 'application/x-secureflow-component';

/** Everything that can be drawn, by what people want; a search in either language. */
export function Palette() {
  const { t } = useTexts('canvas');
  const { catalogue, language } = useDrawing();
  const [search, write] = useState('');
  const fitting = useMemo(() => found(catalogue.components, search), [catalogue, search]);
  const groups = catalogue.groups
    .map((group) => ({ group, listed: fitting.filter((one) => one.group === group.id) }))
    .filter(({ listed }) => listed.length > 0);
  const [shut, keep] = useState<readonly string[]>([]);
  const ids = groups.map(({ group }) => group.id);
  const open = search ? ids : ids.filter((one) => !shut.includes(one));
  return (
    <section className={css['palette']} aria-label={t('canvas:palette')}>
      <Input.Search
        allowClear
        placeholder={t('canvas:search')}
        aria-label={t('canvas:search')}
        value={search}
        onChange={(event) => write(event.target.value)}
      />
      {groups.length ? null : <p className={css['sentence']}>{t('canvas:search.none')}</p>}
      <Collapse
        size="small"
        ghost
        activeKey={open}
        onChange={(keys) => keep(ids.filter((one) => !keys.includes(one)))}
        items={groups.map(({ group, listed }) => ({
          key: group.id,
          label: (
            <Tooltip title={inWords(group.sentence, language)}>
              {inWords(group.label, language)}
            </Tooltip>
          ),
          children: <Group listed={listed} whole={search !== ''} />,
        }))}
      />
    </section>
  );
}

function Group({ listed, whole }: { listed: Component[]; whole: boolean }) {
  const { t } = useTexts('canvas');
  const kinds = listed.filter((one) => one.level === 'kind');
  const parts = listed.filter((one) => one.level !== 'kind');
  const [open, keep] = useState(false);
  const shown = whole || open ? [...kinds, ...parts] : kinds;
  return (
    <>
      <List
        size="small"
        split={false}
        dataSource={shown}
        rowKey="id"
        renderItem={(one) => <Entry key={one.id} component={one} />}
      />
      {parts.length && !whole ? (
        <Button type="link" size="small" aria-expanded={open} onClick={() => keep(!open)}>
          {t(open ? 'canvas:parts.fewer' : 'canvas:parts', { count: parts.length })}
        </Button>
      ) : null}
    </>
  );
}

function Entry({ component }: { component: Component }) {
  const { t } = useTexts('canvas');
  const { catalogue, language, request, steps, chosen, add } = useDrawing();
  const [open, keep] = useState(false);
  const label = inWords(component.label, language);
  const here = steps.find((one) => one.id === chosen)?.kind === component.kind;
  const part = component.place !== null;
  const can = (part && here) || addable(request, component, catalogue);
  const kind = part ? kindOf(catalogue, component.kind) : undefined;
  const what = part && here ? 'canvas:add.part' : 'canvas:add';
  return (
    <List.Item className={css['entry'] ?? ''}>
      <div
        className={css['drag']}
        draggable={can}
        onDragStart={(event) => {
          event.dataTransfer.setData(DRAGGED, component.id);
          event.dataTransfer.effectAllowed = 'copy';
        }}
      >
        <div className={css['name']}>
          <button type="button" className={css['open']} aria-expanded={open} onClick={() => keep(!open)}>
            {label}
          </button>
          {kind ? <Tag>{inWords(kind.label, language)}</Tag> : null}
          <Button
            size="small"
            type="text"
            icon={<PlusOutlined />}
            disabled={!can}
            onClick={() => add(component)}
            aria-label={t(what, { name: label })}
          />
        </div>
        <p className={css['sentence']}>{inWords(component.sentence, language)}</p>
        {open ? (
          <>
            {component.engine ? (
              <p className={css['sentence']}>{t('canvas:engine', { name: component.engine })}</p>
            ) : null}
            <p className={css['sentence']}>{t('canvas:smallest', { count: component.smallest_roster })}</p>
            <Learns
              rows={component.learns.map((one) => ({
                who: inWords(one.who, language),
                sees: inWords(one.sees, language),
                why: inWords(one.why, language),
              }))}
            />
          </>
        ) : null}
      </div>
    </List.Item>
  );
}
