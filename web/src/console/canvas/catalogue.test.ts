import { expect, test } from 'vitest';
import { nameBeside, protectionsOf } from './catalogue';
import { both, CATALOGUE } from './fixture';

const SENTENCE = both('');
const CENTRE = {
  ...CATALOGUE,
  protections: [
    { id: 'none', label: both('nothing to protect', '无'), sentence: SENTENCE },
    { id: 'sealed', label: both('sealed', '密封'), sentence: SENTENCE },
    { id: 'secagg', label: both('masked', '掩码'), sentence: SENTENCE },
  ],
};

test('steps that are protected in several ways are told with all, and without those that need none', () => {
  expect(protectionsOf(CENTRE, 'secagg, none', 'zh')).toBe('掩码');
  expect(protectionsOf(CENTRE, 'none, secagg, sealed', 'en')).toBe('masked + sealed');
  expect(protectionsOf(CENTRE, 'none', 'zh')).toBe('无');
  expect(protectionsOf(CENTRE, '', 'en')).toBe('');
  expect(protectionsOf(CENTRE, 'secagg, of another version', 'en')).toBe('secagg + of another version');
});

test('the name of a step stands beside what it does, unless it is the same word', () => {
  expect(nameBeside('预测', 'prediction')).toBe('prediction');
  expect(nameBeside('Prediction', 'prediction')).toBe('');
  expect(nameBeside('Training', 'linear')).toBe('linear');
});
