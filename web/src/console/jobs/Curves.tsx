import { theme } from 'antd';
import { useEffect } from 'react';
import { useTexts } from '../../shared/i18n';
import { useChart } from '../../charts/useChart';
import type { Round } from './events';
import css from './Curves.module.css';

const OTHER_AXIS = new Set(['accuracy', 'auc', 'epsilon']);

/** The figures of each round as curves: losses by the left axis, shares and ε by the right. */
export default function Curves({ rounds, label }: { rounds: Round[]; label: string }) {
  const { t, has } = useTexts('jobs');
  const { token } = theme.useToken();
  const { place, chart } = useChart();
  useEffect(() => {
    const names = [...new Set(rounds.flatMap((one) => Object.keys(one.figures)))].filter(
      (name) => name !== 'rows',
    );
    const still = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
    chart.current?.setOption(
      {
        animation: !still,
        aria: { enabled: true, label: { description: label } },
        grid: { left: 56, right: 56, top: 40, bottom: 32 },
        legend: { top: 0, textStyle: { color: token.colorText } },
        tooltip: { trigger: 'axis', renderMode: 'richText' },
        xAxis: {
          type: 'category',
          data: rounds.map((one) => String(one.round)),
          axisLabel: { color: token.colorTextSecondary },
        },
        yAxis: [0, 1].map(() => ({
          type: 'value',
          scale: true,
          axisLabel: { color: token.colorTextSecondary },
          splitLine: { lineStyle: { color: token.colorSplit } },
        })),
        series: names.map((name) => ({
          name: has(`words:metric.${name}`) ? t(`words:metric.${name}`) : name,
          type: 'line',
          yAxisIndex: OTHER_AXIS.has(name) ? 1 : 0,
          showSymbol: rounds.length < 40,
          data: rounds.map((one) => one.figures[name] ?? null),
        })),
      },
      { notMerge: true },
    );
  }, [rounds, label, t, has, token]);
  return <div ref={place} className={css['chart']} role="img" aria-label={label} />;
}
