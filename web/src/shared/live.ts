/**
 * The one stream of a tab: what happens at the centre arrives here, and pages follow it.
 *
 * A browser reconnects by itself while the network fails; after an answer that is none it gives up,
 * so this opens again, later each time, and goes on after the last event that was seen.
 */
import { useEffect, useRef, useSyncExternalStore } from 'react';

export type LiveEvent = { kind: string; id: string; data: Record<string, unknown> };
export type LiveState = 'connecting' | 'open' | 'lost';
type Handle = (event: LiveEvent) => void;

const FIRST_WAIT = 1000;
/** Somebody may sit before the page: what is back is seen within seconds. */
const LONGEST_WAIT = 5000;

/** Reads what came; `null` for what is no object. */
export function readEvent(kind: string, id: string, text: string): LiveEvent | null {
  try {
    const data: unknown = JSON.parse(text);
    if (typeof data !== 'object' || data === null || Array.isArray(data)) return null;
    return { kind, id, data: data as Record<string, unknown> };
  } catch {
    return null;
  }
}

/** Who follows which kinds of events, and who follows the stream's state. */
export class Hub {
  private readonly handlers = new Map<string, Set<Handle>>();
  private readonly watchers = new Set<() => void>();
  private readonly counts = new Map<string, number>();
  private now: LiveState = 'connecting';
  /** Called when other jobs are followed than before. */
  followed: () => void = () => undefined;

  /** Calls `handle` for each event of a kind; returns what ends that. */
  on(kind: string, handle: Handle): () => void {
    const found = this.handlers.get(kind) ?? new Set<Handle>();
    this.handlers.set(kind, found.add(handle));
    return () => found.delete(handle);
  }

  /** Hands an event to those who follow its kind. */
  tell(event: LiveEvent): void {
    for (const one of this.handlers.get(event.kind) ?? []) one(event);
  }

  /** Says how the stream is now. */
  become(state: LiveState): void {
    if (this.now === state) return;
    this.now = state;
    for (const one of this.watchers) one();
  }

  /** Has every event of a job sent while it is followed; returns what ends that. */
  follow(job: string): () => void {
    this.count(job, 1);
    return () => this.count(job, -1);
  }

  /** The jobs of which every event is wanted. */
  jobs(): string[] {
    return [...this.counts.keys()].sort();
  }

  private count(job: string, step: number): void {
    const count = (this.counts.get(job) ?? 0) + step;
    if (count > 0) this.counts.set(job, count);
    else this.counts.delete(job);
    if (count === 0 || count === step) this.followed();
  }

  /** Calls `watch` when the state changes; returns what ends that. */
  watch = (watch: () => void): (() => void) => {
    this.watchers.add(watch);
    return () => this.watchers.delete(watch);
  };

  /** How the stream is now. */
  state = (): LiveState => this.now;
}

/** The hub of this tab. */
export const hub = new Hub();

/** A stream of server-sent events that never gives up. */
export class Live {
  private source: EventSource | null = null;
  private last = '';
  private wait = FIRST_WAIT;
  private asked = '';
  private timer: ReturnType<typeof setTimeout> | undefined;
  private turning: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param address where the stream is
   * @param kinds the names of its events
   * @param to who gets them
   * @param refused called when the server refuses the stream: the session may have ended
   * @param resumed called when it is open again after it was lost
   */
  constructor(
    private readonly address: string,
    private readonly kinds: readonly string[],
    private readonly to: Hub,
    private readonly refused: () => void,
    private readonly resumed: () => void,
  ) {
    to.followed = () => this.turn();
  }

  /** Opens the stream, unless it is open. */
  start(): void {
    if (this.source) return;
    this.asked = this.query();
    const source = new EventSource(this.address + this.asked);
    this.source = source;
    source.addEventListener('open', () => {
      const again = this.to.state() === 'lost';
      this.wait = FIRST_WAIT;
      this.to.become('open');
      if (again) this.resumed();
    });
    source.addEventListener('error', () => this.failed(source));
    for (const kind of this.kinds) {
      source.addEventListener(kind, (event) => this.take(kind, event as MessageEvent<string>));
    }
  }

  /** Closes it, for good. */
  stop(): void {
    clearTimeout(this.timer);
    clearTimeout(this.turning);
    this.source?.close();
    this.source = null;
    this.to.become('connecting');
  }

  /** What is asked for now: the jobs that are followed, and what came after the last event. */
  private query(): string {
    const search = new URLSearchParams(this.to.jobs().map((job) => ['jobs', job]));
    if (this.last) search.set('after', this.last);
    return search.size ? `?${search}` : '';
  }

  /** Opens the stream anew for other jobs, once for all changes of a moment. */
  private turn(): void {
    clearTimeout(this.turning);
    this.turning = setTimeout(() => {
      const before = new URLSearchParams(this.asked).getAll('jobs').join();
      if (!this.source || before === this.to.jobs().join()) return;
      this.source.close();
      this.source = null;
      this.start();
    }, 0);
  }

  private take(kind: string, event: MessageEvent<string>): void {
    if (event.lastEventId) this.last = event.lastEventId;
    const read = readEvent(kind, event.lastEventId, event.data);
    if (read) this.to.tell(read);
  }

  private failed(source: EventSource): void {
    if (this.source !== source) return;
    this.to.become('lost');
    if (source.readyState !== EventSource.CLOSED) return;
    this.source = null;
    this.refused();
    this.timer = setTimeout(() => this.start(), this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
  }
}

/** Follows events of some kinds while the component is shown. */
export function useLive(kinds: readonly string[], handle: Handle): void {
  const latest = useRef(handle);
  useEffect(() => {
    latest.current = handle;
  });
  const named = kinds.join(' ');
  useEffect(() => {
    const ends = named.split(' ').map((kind) => hub.on(kind, (event) => latest.current(event)));
    return () => {
      for (const end of ends) end();
    };
  }, [named]);
}

/** Has every event of a job sent (as `job` events with `event`) while the component is shown. */
export function useFollow(job: string): void {
  useEffect(() => (job ? hub.follow(job) : undefined), [job]);
}

/** How the tab's stream is now. */
export function useLiveState(): LiveState {
  return useSyncExternalStore(hub.watch, hub.state);
}
