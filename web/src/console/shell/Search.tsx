import { SearchOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Button, Input, Modal } from 'antd';
import { useEffect, useState, type KeyboardEvent } from 'react';
import { matchRoutes, useNavigate } from 'react-router';
import { useTexts } from '../../shared/i18n';
import { focusFirst } from '../../shared/parts/first';
import { Failed } from '../../shared/states/Failed';
import { pages } from '../registry';
import { byId, everything, matching, type Found } from './finding';
import css from './Shell.module.css';

const SHOWN = 50;
const ROUTES = pages.map((page) => ({ path: `/${page.path}` }));

/** Finds anything by its name or id, from anywhere: Ctrl-K. */
export function Search() {
  const { t } = useTexts('shell');
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const pressed = (event: globalThis.KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'k') return;
      event.preventDefault();
      setOpen(true);
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
  return (
    <>
      <Button icon={<SearchOutlined />} onClick={() => setOpen(true)}>
        {t('shell:search')} <kbd>Ctrl K</kbd>
      </Button>
      <Modal
        open={open}
        title={t('shell:search.title')}
        footer={null}
        onCancel={() => setOpen(false)}
        afterOpenChange={focusFirst}
        destroyOnHidden
      >
        <Palette close={() => setOpen(false)} />
      </Modal>
    </>
  );
}

function Palette({ close }: { close: () => void }) {
  const { t } = useTexts('shell');
  const go = useNavigate();
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const known = useQuery({ queryKey: ['search'], queryFn: everything });
  const found = [...byId(text), ...matching(known.data ?? [], text)]
    .filter((one) => matchRoutes(ROUTES, one.to))
    .filter((one, index, all) => all.findIndex((other) => other.to === one.to) === index)
    .slice(0, SHOWN);
  const follow = (one: Found | undefined) => {
    if (!one) return;
    close();
    void go(one.to);
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setAt((now) => Math.min(now + 1, found.length - 1));
    else if (event.key === 'ArrowUp') setAt((now) => Math.max(now - 1, 0));
    else if (event.key === 'Enter') follow(found[at]);
    else return;
    event.preventDefault();
  };
  return (
    <>
      <Input
        autoFocus
        data-first
        role="combobox"
        aria-label={t('shell:search.title')}
        aria-expanded={found.length > 0}
        aria-controls="found"
        aria-activedescendant={found[at] ? `found-${at}` : undefined}
        placeholder={t('shell:search.hint')}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={pressed}
      />
      {known.isError ? <Failed error={known.error} /> : null}
      {found.length ? (
        <ul id="found" role="listbox" aria-label={t('shell:search.title')} className={css['found']}>
          {found.map((one, index) => (
            <li
              key={one.to}
              id={`found-${index}`}
              role="option"
              aria-selected={index === at}
              onMouseEnter={() => setAt(index)}
              onClick={() => follow(one)}
            >
              <span>{one.name}</span>
              <span className={css['quiet']}>{t(`shell:section.${one.section}`)}</span>
            </li>
          ))}
        </ul>
      ) : null}
      {text && !found.length && !known.isPending ? <p>{t('shell:search.none')}</p> : null}
    </>
  );
}
