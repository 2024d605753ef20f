import { expect, test } from 'vitest';
import { checksOf } from '../../verify/checks';
import { parseJson } from '../../verify/json';
import { Refusal, told as text } from '../../verify/told';
import { verifyBundle } from '../../verify/verify';
import { told } from './told';

const ROOT = 'A'.repeat(43) + '=';
/** A bundle whose names reverse what follows them: whoever made it chose them. */
const NASTY = {
  v: 1, origin: 'log\u202e', note: `log.example\n1\n${ROOT}\n\n— log.example AAAAAAA=\n`, job: 'job_\u202edeifirev',
  spec: { roster: [{ party: 'bank\u200b-a', key: 'k' }] }, roster: ['bank\u200b-a', 'b'], charter: '\u2066', entries: [],
};

test('what a verdict quotes of a bundle hides nothing', async () => {
  const bundle = parseJson(new TextEncoder().encode(JSON.stringify(NASTY)));
  const verdict = await verifyBundle(bundle, { pinned: null });
  const checks = checksOf(verdict);
  const inputs = Object.fromEntries(checks.flatMap((one) => one.inputs));
  expect(inputs['job']).toBe('job_\\u202edeifirev');
  expect(inputs['roster']).toBe('bank\\u200b-a, b');
  for (const language of ['en', 'zh'] as const) {
    const said = checks.flatMap((one) => one.reasons).map((one) => told(one, language)).join();
    expect(said).toContain('job_\\u202e');
    expect(said).not.toMatch(/[\u200b\u202e\u2066]/);
  }
  expect(told(new Refusal('x', text('{a}', { a: '\u202e' })).told, 'en')).toBe('\\u202e');
});
