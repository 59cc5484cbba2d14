/**
 * What evaluating CEL may cost. The unit and the limits are the API server's (k8s.io/apiserver/pkg/apis/cel/config.go and
 * cel-go's interpreter/runtimecost.go): about one step, a tenth for each character that is read or made. Beyond the API
 * server's model every list element that is made costs one unit too, so that the budget bounds memory as well as time.
 */

/** For one expression (`PerCallLimit`). */
export const MAX_EXPRESSION_COST = 1_000_000;
/** For all conditions of a policy about one object (`RuntimeCELCostBudgetMatchConditions`). */
export const MAX_CONDITIONS_COST = 2_500_000;
/**
 * Milliseconds for all conditions of a policy about one object. The whole budget takes a fraction of it on an idle machine;
 * it ends what costs more time than its price. No single step takes more than about 100 ms.
 */
export const MAX_CONDITIONS_MS = 1_000;
/** What an error costs that an operator absorbs: making one takes as long as so many steps. */
const ERROR_COST = 20;
/** Reading the clock costs more than most steps. */
const CHARGES_BETWEEN_CLOCK_READS = 256;

/** The end of an evaluation; no operator of CEL absorbs it. */
export class LimitExceeded extends Error {}

export type Meter = {
  /** Starts the budget of the next expression. */
  begin(): void;
  /** Pays for a step. Throws {@link LimitExceeded}. */
  charge(cost: number): void;
  /** Pays for reading or making so many characters or bytes. */
  text(length: number): void;
  /** Pays for a search of a text in a text, whose worst case is the product of their lengths. */
  search(length: number, wanted: number): void;
  /** Reads the clock: for steps that may take long. */
  checkTime(): void;
};

/** `now` is in milliseconds. */
export function createMeter(now: () => number): Meter {
  const deadline = now() + MAX_CONDITIONS_MS;
  let remaining = MAX_CONDITIONS_COST;
  let remainingHere = MAX_EXPRESSION_COST;
  let untilClock = CHARGES_BETWEEN_CLOCK_READS;

  function checkTime(): void {
    untilClock = CHARGES_BETWEEN_CLOCK_READS;
    if (now() > deadline) {
      remaining = -1;
      throw new LimitExceeded(
        `it takes longer than ${MAX_CONDITIONS_MS} ms (all conditions of a policy on one object count); make it simpler`,
      );
    }
  }

  function charge(cost: number): void {
    remaining -= cost;
    remainingHere -= cost;
    if (remainingHere < 0) {
      throw new LimitExceeded(
        `it exceeds the cost limit of ${MAX_EXPRESSION_COST} per expression; make it simpler`,
      );
    }
    if (remaining < 0) {
      throw new LimitExceeded(
        `the policy's conditions exceed their cost limit of ${MAX_CONDITIONS_COST} per object; make them simpler`,
      );
    }
    if (--untilClock <= 0) checkTime();
  }

  return {
    begin() {
      remainingHere = MAX_EXPRESSION_COST;
      checkTime();
    },
    charge,
    text: (length) => charge(Math.ceil(length / 10)),
    search: (length, wanted) => charge(Math.ceil((length + 1) / 10) * Math.ceil((wanted + 1) / 10)),
    checkTime,
  };
}

/** An error that an operator absorbs and keeps for the case that nothing decides. */
export function absorbed(error: unknown, meter: Meter): Error {
  if (error instanceof LimitExceeded || !(error instanceof Error)) throw error;
  meter.charge(ERROR_COST);
  return error;
}
