import { Descriptions, Tag } from 'antd';
import { money, percent } from '../format';
import { useTexts } from '../i18n';
import { Id } from '../parts/Id';
import { usePreferences } from '../preferences';
import { shareOfWeights, termsOf, WHOLE } from './agreement';

/** The terms of a revenue agreement in words, all of them: they are what is signed. */
export function Terms({ agreement }: { agreement: unknown }) {
  const { t, has } = useTexts('revenue');
  const { language } = usePreferences();
  const terms = termsOf(agreement);
  const amount = (value: number) => money(value, terms.decimals, terms.currency, language);
  const kind = (one: string) => (has(`words:kind.${one}`) ? t(`words:kind.${one}`) : one);
  const said: [string, React.ReactNode][] = [
    ['version', terms.version],
    ['previous', terms.previous ? <Id value={terms.previous} /> : ''],
    ['payer', t('revenue:payer.is', { who: terms.payer })],
    ['per_job', amount(terms.perJob)],
    ['entered', t(terms.entered ? 'revenue:entered.yes' : 'revenue:entered.no')],
    [
      'weights',
      shareOfWeights(terms).map((one) => (
        <Tag key={one.measure}>
          {t(`revenue:measure.${one.measure}`)} {percent(one.share, language)}
        </Tag>
      )),
    ],
    ['floor', t('revenue:floor.is', { share: percent(terms.floor / WHOLE, language, 2) })],
    ['unscored', has(`revenue:unscored.${terms.unscored}`) ? t(`revenue:unscored.${terms.unscored}`) : terms.unscored],
    ['rounding', t('revenue:rounding.is', { who: terms.rounding })],
    ['window', t('revenue:window.is', { count: terms.windowDays })],
    ['kinds', terms.kinds.length ? terms.kinds.map(kind).join(', ') : t('revenue:kinds.any')],
    [
      'members',
      terms.members.map((one) => (
        <div key={one.organisation}>
          {t('revenue:member.is', {
            who: one.organisation,
            quality: percent(one.quality / 100, language, 0),
          })}{' '}
          <Id value={one.key} />
        </div>
      )),
    ],
  ];
  return (
    <Descriptions
      size="small"
      column={1}
      items={said
        .filter(([, value]) => value !== '')
        .map(([name, value]) => ({ key: name, label: t(`revenue:term.${name}`), children: value }))}
    />
  );
}
