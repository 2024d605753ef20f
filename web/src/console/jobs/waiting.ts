/** Who waits in a job for what: room on a disk, the database, a place in the queue. */
export type Waiting = { party: string; message: string; hint: string; since: number };

/** Who waits in a job for what, as its progress says. */
export function waitingOf(progress: Record<string, unknown>): Waiting[] {
  const listed = progress['waiting'];
  if (!Array.isArray(listed)) return [];
  return listed.flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null) return [];
    const { party, message, hint, since } = one as Record<string, unknown>;
    const text = (value: unknown) => (typeof value === 'string' ? value : '');
    return [
      {
        party: text(party),
        message: text(message),
        hint: text(hint),
        since: typeof since === 'number' ? since : 0,
      },
    ];
  });
}
