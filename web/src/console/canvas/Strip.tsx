import { Button, Drawer, List, Spin, Tag } from 'antd';
import { useState } from 'react';
import { useTexts } from '../../shared/i18n';
import { bytes, duration, number } from '../../shared/format';
import { Failed } from '../../shared/states/Failed';
import { protectionsOf } from './catalogue';
import { useDrawing } from './drawing';
import css from './Canvas.module.css';
import { titlesOf } from './titles';
import type { Check } from './useCheck';

/** Always there: who takes part, how it is protected, what it costs, and what is wrong. */
export function Strip({ check }: { check: Check }) {
  const { t } = useTexts('canvas');
  const { catalogue, language, problems, owners, request, show } = useDrawing();
  const [open, keep] = useState(false);
  const preview = check.answer?.preview;
  const parties = preview?.parties ?? owners;
  const guard = protectionsOf(catalogue, preview?.protection ?? '', language);
  const cost = preview?.epsilon?.['job'];
  const { seconds, bytes: traffic } = preview?.estimate ?? {};
  const facts = [
    [t('canvas:strip.parties'), parties.join(', ') || t('canvas:nobody')],
    [t('canvas:strip.protection'), guard || t('canvas:unsaid')],
    [
      t('canvas:strip.epsilon'),
      typeof cost === 'number' ? number(cost, language, 3) : t(preview ? 'canvas:no.noise' : 'canvas:unsaid'),
    ],
    [t('canvas:strip.left'), t(typeof cost === 'number' ? 'canvas:left.owners' : preview ? 'canvas:left.whole' : 'canvas:unsaid')],
    [t('canvas:strip.time'), typeof seconds === 'number' ? duration(seconds, language) : t('canvas:time.owners')],
    [
      t('canvas:strip.bytes'),
      typeof traffic === 'number' && traffic > 0 ? bytes(traffic, language) : t('canvas:unsaid'),
    ],
  ];
  return (
    <footer className={css['strip']} aria-label={t('canvas:strip')}>
      <dl className={css['facts']}>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <div role="status" className={css['state']}>
        {check.running ? <Spin size="small" /> : null}
        <Button
          size="small"
          danger={problems.length > 0}
          disabled={!problems.length && !check.failed}
          onClick={() => keep(true)}
        >
          {check.failed ? t('canvas:unchecked') : t('canvas:problems', { count: problems.length })}
        </Button>
        {!problems.length && !check.running && check.answer?.digest ? (
          check.answer.preview?.two_party ? (
            <Tag color="warning">{t('canvas:ready.two')}</Tag>
          ) : (
            <Tag color="success">{t('canvas:ready')}</Tag>
          )
        ) : null}
      </div>
      <Drawer
        open={open}
        onClose={() => keep(false)}
        title={t('canvas:problems', { count: problems.length })}
        placement="right"
        destroyOnHidden
      >
        {check.failed ? <Failed error={check.failed} retry={check.again} /> : null}
        <List
          dataSource={problems}
          rowKey={(one) => `${one.field} ${one.message}`}
          renderItem={(one) => (
            <List.Item>
              <button
                type="button"
                className={css['problem']}
                onClick={() => {
                  keep(false);
                  show(one);
                }}
              >
                <strong>
                  {[one.step, ...titlesOf(request, one.path, catalogue, language)]
                    .filter(Boolean)
                    .join(' · ')}
                </strong>
                <span>{one.message}</span>
                {one.hint ? <span className={css['hint']}>{one.hint}</span> : null}
              </button>
            </List.Item>
          )}
        />
      </Drawer>
    </footer>
  );
}
