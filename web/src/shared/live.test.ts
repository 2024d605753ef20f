import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Hub, Live, readEvent, type LiveEvent } from './live';

/** A stream that the test plays the server of. */
class Fake extends EventTarget {
  static readonly CLOSED = 2;
  static opened: Fake[] = [];
  readyState = 1;
  constructor(readonly url: string) {
    super();
    Fake.opened.push(this);
  }
  close(): void {
    this.readyState = Fake.CLOSED;
  }
  say(kind: string, data: string, id = ''): void {
    this.dispatchEvent(new MessageEvent(kind, { data, lastEventId: id }));
  }
  fail(closed: boolean): void {
    this.readyState = closed ? Fake.CLOSED : 0;
    this.dispatchEvent(new Event('error'));
  }
}

const newest = () => Fake.opened.at(-1) as Fake;
let hub: Hub;
let live: Live;
let refused: number;
let resumed: number;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('EventSource', Fake);
  Fake.opened = [];
  refused = resumed = 0;
  hub = new Hub();
  live = new Live('/events', ['job'], hub, () => refused++, () => resumed++);
  live.start();
});

afterEach(() => {
  live.stop();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test('events reach those who follow their kind, and no others', () => {
  const got: LiveEvent[] = [];
  const end = hub.on('job', (event) => got.push(event));
  hub.on('link', () => expect.fail('not followed'));
  newest().say('job', '{"id":"job_1"}', '7-a');
  expect(got).toEqual([{ kind: 'job', id: '7-a', data: { id: 'job_1' } }]);
  end();
  newest().say('job', '{}', '8-a');
  expect(got).toHaveLength(1);
});

test('what is no object is not handed on', () => {
  for (const text of ['', '3', 'null', '[1]', '{']) expect(readEvent('job', '', text)).toBeNull();
});

test('while the network fails the browser itself goes on', () => {
  newest().dispatchEvent(new Event('open'));
  newest().fail(false);
  expect(hub.state()).toBe('lost');
  vi.advanceTimersByTime(60_000);
  expect(Fake.opened).toHaveLength(1);
  newest().dispatchEvent(new Event('open'));
  expect([hub.state(), resumed, refused]).toEqual(['open', 1, 0]);
});

test('a refused stream is opened again after the last event, later each time', () => {
  newest().say('job', '{}', '9-b');
  newest().fail(true);
  expect(refused).toBe(1);
  vi.advanceTimersByTime(999);
  expect(Fake.opened).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(newest().url).toBe('/events?after=9-b');
  newest().fail(true);
  vi.advanceTimersByTime(1999);
  expect(Fake.opened).toHaveLength(2);
  vi.advanceTimersByTime(1);
  expect(Fake.opened).toHaveLength(3);
});

test('however long it was refused, it is open again within seconds', () => {
  for (let tries = 1; tries <= 12; tries++) {
    newest().fail(true);
    vi.advanceTimersByTime(5000);
    expect(Fake.opened, `after ${tries} refusals`).toHaveLength(tries + 1);
  }
  newest().dispatchEvent(new Event('open'));
  expect([hub.state(), resumed]).toEqual(['open', 1]);
});

test('following other jobs opens it once more, where it stood', () => {
  newest().say('job', '{}', '3-c');
  const first = hub.follow('job_b');
  hub.follow('job_a');
  vi.advanceTimersByTime(0);
  expect(Fake.opened).toHaveLength(2);
  expect(Fake.opened[0]?.readyState).toBe(Fake.CLOSED);
  expect(newest().url).toBe('/events?jobs=job_a&jobs=job_b&after=3-c');
  hub.follow('job_b')();
  vi.advanceTimersByTime(0);
  expect(Fake.opened, 'still followed by the first').toHaveLength(2);
  first();
  vi.advanceTimersByTime(0);
  expect(newest().url).toBe('/events?jobs=job_a&after=3-c');
});

test('after its end nothing is opened again', () => {
  newest().fail(true);
  live.stop();
  vi.advanceTimersByTime(120_000);
  expect(Fake.opened).toHaveLength(1);
});
