// Types of loadgen.js, for TypeScript scripts and editors; @types/k6 has those of k6.

import type * as http from 'k6/http';
import type { Options } from 'k6/options';

/** What a window is labelled with; an entry of a scenario file's `anomalies`. */
export interface Anomaly {
  /** `latency_spike`, …: the header `x-anomaly-type`; letters, digits, `_` and `-`. `none` is for normal windows. */
  type: string;
  /**
   * `x-anomaly-label`: `normal` with the type `none`, `anomalous` with all others. It follows from the
   * type; leave it out. Any other text is taken for the symptom.
   */
  label?: string;
  /** A name for what people see, such as `high_latency`. */
  symptom?: string;
  /** `slow_database_query`, …: `x-anomaly-root-cause`. */
  root_cause: string;
  /** A sentence for people: `x-anomaly-msg`. */
  msg?: string;
  /** The service that the fault is in. */
  root_cause_service?: string | null;
}

/** What k6 gives to `handleSummary`, as far as it is used here. */
export interface SummaryData {
  metrics: Record<string, unknown>;
  state: { testRunDurationMs: number };
  [key: string]: unknown;
}

/**
 * What `handleSummary` is to return: `undefined` has k6 print its own summary; an empty object, with
 * the variable LOADGEN_QUIET=1, prints nothing.
 */
export type SummaryResult = Record<string, never> | undefined;

export interface ReplaySettings {
  /** Path of the plan, from the working directory or beside loadgen.js. The variable LOADGEN_PLAN. */
  plan?: string;
  /** Where the requests go. The variable BASE_URL, else what the plan says. */
  baseUrl?: string;
}

/** What a script that replays a plan exports. */
export interface Replay {
  /** k6's options: the plan's scenarios, to the nanosecond. */
  options: Options;
  /** Begins the event log: the plan, and the moment that its times count from. */
  setup(): void;
  /** The default function. */
  iteration(): void;
  /** Ends the event log with k6's own counts. */
  handleSummary(data: SummaryData): SummaryResult;
}

/**
 * Replays a plan that `loadgen plan FILE --format json` made. Call it at init, outside of any
 * function. Throws where the plan can't be read or k6 can't run it.
 */
export function replay(settings?: ReplaySettings): Replay;

export interface GroundTruthSettings {
  /** k6's options, with `scenarios` or one of k6's shortcuts (`vus`, `duration`, …). */
  options: Options;
  /** What each scenario is labelled with, by its name. One that is not here is normal. */
  anomalies?: { [scenario: string]: Anomaly };
  /** Where the requests go, for the record. The variable BASE_URL. */
  baseUrl?: string;
  /** Name of the run; `k6`. */
  name?: string;
  /** File name of the script, for the record. */
  script?: string;
  /** Whether an answer counts as success; status 200 to 399, as k6 has it. */
  expected?: (answer: http.RefinedResponse<http.ResponseType | undefined>) => boolean;
}

/** What a script of your own takes from loadgen. */
export interface GroundTruth {
  /** The given options, with the tags `anomaly_type` and `anomaly_label` and thresholds that hold. */
  options: Options;
  /** Begins the event log. Export it, or call it as the last thing of your own `setup`. */
  setup(): void;
  /**
   * Wraps a function that k6 calls for each iteration, so that the log has the end of each.
   *
   * @param run the function; what k6 gives it is handed through.
   * @param flow what to call it in the ledger; the name in the scenario's `exec`.
   */
  iteration<A extends unknown[], R>(run: (...args: A) => R, flow?: string): (...args: A) => R;
  /** k6's `http`, labelled and logged. In `setup` and `teardown` it is k6's as it is. */
  http: typeof http.default;
  /** Ends the event log. Export it, or call it in your own `handleSummary`. */
  handleSummary(data: SummaryData): SummaryResult;
}

/**
 * Makes a script of your own write loadgen's ground truth. Call it at init, outside of any function.
 * Throws where the options can't be made a plan.
 */
export function groundTruth(settings: GroundTruthSettings): GroundTruth;
