import { expect, test } from 'vitest';
import { columnsOf, metricsOf, namesOf, shownMetric } from './card';

test('only finite numbers are metrics, and noise is told with its reach', () => {
  const metrics = metricsOf({
    metrics: { auc: 0.81234, loss: Number.NaN, name: 'x', rows: 1200 },
    metrics_errors: { auc: 0.01 },
  });
  expect(metrics).toEqual([
    { name: 'auc', value: 0.81234, error: 0.01 },
    { name: 'rows', value: 1200 },
  ]);
  expect(metrics.map((one) => shownMetric(one, 'en'))).toEqual(['0.8123 ± 0.0196', '1,200']);
});

test('a card of another shape has nothing to show', () => {
  expect(metricsOf({ metrics: ['auc'] })).toEqual([]);
  expect(columnsOf({ features: { numeric: [{ column: 'age' }, 3, null] } }, 'numeric')).toEqual([
    'age',
  ]);
  expect(columnsOf({ features: 'x' }, 'numeric')).toEqual([]);
});

test('models are compared by all metrics that any of them has', () => {
  expect(namesOf([{ metrics: { loss: 1 } }, { metrics: { auc: 1, loss: 2 } }])).toEqual([
    'loss',
    'auc',
  ]);
});
