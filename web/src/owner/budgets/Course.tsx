import { theme } from 'antd';
import { useEffect } from 'react';
import { moment } from '../../shared/format';
import { useTexts } from '../../shared/i18n';
import { useChart } from '../../charts/useChart';
import { usePreferences } from '../../shared/preferences';
import { epsilon } from '../parts/figures';
import { paired, stepsOf, type Point } from './course';
import css from './Course.module.css';

/** How a budget stood after each event: spent and reserved, spent for good, and its limit. */
export default function Course({ course, domain }: { course: readonly Point[]; domain: string }) {
  const { t } = useTexts('holdings');
  const { token } = theme.useToken();
  const { language, zone } = usePreferences();
  const { place, chart } = useChart();
  const last = course.at(-1);
  const label = t('holdings:budget.chart', {
    domain,
    spent: epsilon(last?.spent, language),
    limit: epsilon(last?.limit, language),
  });
  useEffect(() => {
    const { times, ...figures } = stepsOf(course);
    const names = ['spent', 'committed', 'limit'] as const;
    const colours = [token.colorWarning, token.colorText, token.colorError];
    const still = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
    chart.current?.setOption(
      {
        animation: !still,
        color: colours,
        aria: { enabled: true, label: { description: label } },
        grid: { left: 48, right: 24, top: 40, bottom: 32 },
        legend: { top: 0, textStyle: { color: token.colorText } },
        tooltip: {
          trigger: 'axis',
          renderMode: 'richText',
          axisPointer: { label: { formatter: (at: { value: number }) => clock(at.value) } },
        },
        xAxis: { type: 'time', axisLabel: { color: token.colorTextSecondary, hideOverlap: true } },
        yAxis: {
          type: 'value',
          min: 0,
          name: 'ε',
          axisLabel: { color: token.colorTextSecondary },
          splitLine: { lineStyle: { color: token.colorSplit } },
        },
        series: names.map((name) => ({
          name: t(`holdings:course.${name}`),
          type: 'line',
          step: 'end',
          showSymbol: times.length < 40,
          lineStyle: { type: name === 'limit' ? 'dashed' : 'solid' },
          data: paired(times, figures[name]),
        })),
      },
      { notMerge: true },
    );
    function clock(at: number): string {
      return moment(Math.floor(at / 1000), language, zone);
    }
  }, [chart, course, label, language, zone, t, token]);
  return <div ref={place} className={css['chart']} role="img" aria-label={label} />;
}
