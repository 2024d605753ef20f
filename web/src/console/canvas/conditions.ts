/** By which figure of an evaluation a step runs: the member that an edge of figures sets. */
import type { Step } from './draft';
import { isMembers, type Json, type Members, type Path } from './json';

export const WHEN = 'when';
const USUAL_LIMIT = 0.7;

/** A condition on an evaluation: as it was, or such as can be asked of most models. */
export function conditionOn(giver: Step, there: Json | undefined): Members {
  const { at_least, at_most, metric } = members(there);
  const limit: Members = typeof at_most === 'number' ? { at_most } : { at_least: at_least ?? USUAL_LIMIT };
  const models = modelsOf(giver);
  const [of] = models;
  return {
    step: giver.id,
    ...(models.length > 1 && of !== undefined ? { of } : {}),
    metric: metric ?? 'auc',
    ...limit,
  };
}

/** The steps whose models an evaluation measures. */
export function modelsOf(step: Step): string[] {
  const { models } = step.body;
  return (Array.isArray(models) ? models : []).flatMap((one) => text(members(one)['step']) || []);
}

/** Where conditions name a step as the one that trains the model which they mean. */
export function placesOf(steps: readonly Step[], id: string): Path[] {
  return steps.flatMap((one) => (members(one.body[WHEN])['of'] === id ? [[...one.path, WHEN, 'of']] : []));
}

function members(value: Json | undefined): Members {
  return isMembers(value) ? value : {};
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
