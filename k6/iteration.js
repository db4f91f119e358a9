// One iteration of a scenario, without I/O: which flow it takes, what each request is, what is
// captured from each answer, and how long each pause lasts. Everything follows from the plan, the
// seed, the iteration's number and the answers; the Rust engine (crates/scenario/src/iteration.rs)
// comes to the same.

import { parseAnswer } from './answers.js';
import { baggageValue } from './headers.js';
import { compileHeader, compileJson, compilePath, compileText, follow, hasDots, pointerTokens } from './templates.js';

/** Site of the choice among the flows that a scenario mixes. */
const FLOW_SITE = 0;
/** Site of the cell of an iteration's client, and how many cells there are. */
const CELL_SITE = 4294967295;
const CELLS = 100;
/** Largest bound of `Prng.index`. */
const MAX_INDEX = 2097152;

/** What {@link Iteration.prepare} says of a step. */
export const SEND = 0;
/** The draw said to leave the step out: no request, no pause. */
export const SKIP = 1;
/** A variable that the step needs has no value: a failure without a request; its pause follows. */
export const MISSING = 2;
/** It would not go where it should (a segment comes to `.` or `..`): a failure, nothing is sent. */
export const UNSENDABLE = 3;

/** A flow of a plan, its templates compiled. */
export function compileFlow(flow) {
  return {
    name: flow.name,
    // Values of the variables, by slot; of one iteration after the other, as a new array takes as
    // long as 20 steps of the interpreter.
    values: new Array(flow.variables.length).fill(undefined),
    steps: flow.steps.map((step) => compileStep(step, flow)),
    waitTime: flow.wait_time || null,
  };
}

function compileStep(step, flow) {
  try {
    const path = compilePath(step.path);
    const rounds = step.rounds || [];
    const headers = step.headers.map(([name, template]) => ({ name, ...compileHeader(template) }));
    const baggage = (step.baggage || []).map(([key, template]) => ({ key, fill: compileText(template) }));
    return {
      name: step.name,
      method: step.method,
      isGet: step.method === 'GET' && step.json === null,
      path,
      headers,
      baggage,
      // Whether its requests have headers that are not those of all requests of the scenario.
      hasHeaders: headers.length > 0 || baggage.length > 0,
      json: step.json === null ? null : compileJson(step.json),
      expect: compileExpect(step.expect),
      // Null: none.
      thinkTime: step.think_time !== null && step.think_time.max_ns > 0 ? step.think_time : null,
      timeoutNs: step.timeout_ns,
      probability: step.probability,
      rounds,
      draws: step.draws.map(compileDraw),
      captures: step.captures.map(({ slot, pointer, random_element }) => ({
        slot,
        tokens: pointerTokens(pointer),
        site: random_element,
      })),
      isConditional: rounds.length > 0 || step.probability !== null,
      // Whether it takes no more than a path to make its request: most steps do.
      isPlain:
        headers.length + baggage.length + step.captures.length === 0 &&
        step.json === null &&
        !path.mayHaveDots,
    };
  } catch (error) {
    throw new Error(`flow ${flow.name}, step ${step.name}: ${error.message}`);
  }
}

/** A choice as a function that draws for an iteration and puts the value into its slot. */
function compileDraw({ slot, choice, site }) {
  const { pick, range, hex, uuid } = choice;
  if (choice.flag !== undefined) {
    throw new Error("k6 can't follow a flag while it runs: take --engine rust");
  }
  if (pick !== undefined) {
    const count = Math.min(pick.length, MAX_INDEX);
    return (values, prng, number) => {
      values[slot] = pick[prng.index(number, site, count)];
    };
  }
  if (range !== undefined) {
    const [low, high] = range;
    return (values, prng, number) => {
      values[slot] = prng.range(number, site, low, high);
    };
  }
  if (uuid !== undefined) {
    return (values, prng, number) => {
      values[slot] = prng.uuid(number, site);
    };
  }
  return (values, prng, number) => {
    values[slot] = prng.hex(number, site, hex);
  };
}

function compileExpect({ status, content_type }) {
  // Most steps expect what is in one range.
  const [low, high] = status.length === 0 ? [1, 0] : status[0];
  return { status, low, high, contentType: content_type === null ? null : content_type.toLowerCase() };
}

/** Whether an HTTP status counts as success. */
export function matchesStatus(expect, status) {
  const ranges = expect.status;
  for (let i = 0; i < ranges.length; i++) {
    if (status >= ranges[i][0] && status <= ranges[i][1]) return true;
  }
  return false;
}

/**
 * Whether a `content-type` header counts as success. Parameters and the case of letters don't
 * matter; an answer without the header is checked as the empty text.
 */
export function matchesContentType(expect, header) {
  const wanted = expect.contentType;
  if (wanted === null || header === wanted) return true;
  const text = header || '';
  const semicolon = text.indexOf(';');
  const mediaType = semicolon < 0 ? text : text.slice(0, semicolon);
  return mediaType.trim().toLowerCase() === wanted;
}

/**
 * The flow, by its index in the plan, that an iteration of a scenario takes.
 *
 * @param exec the scenario's weighted flows.
 */
export function chooseFlow(exec, prng, number) {
  if (exec.length === 1) return exec[0].flow;
  let total = 0;
  for (let i = 0; i < exec.length; i++) total += exec[i].weight;
  let left = prng.index(number, FLOW_SITE, total);
  for (let i = 0; i < exec.length; i++) {
    if (left < exec[i].weight) return exec[i].flow;
    left -= exec[i].weight;
  }
  return exec[exec.length - 1].flow;
}

/** One run through a flow. A VU keeps one and starts it anew for each iteration. */
export class Iteration {
  /** Path and query of the request that the latest `prepare` made. */
  path = '';
  /** Body of that request; null: none. */
  body = null;
  /** Values of the headers of the step, in the order of its headers; null: all are constant. */
  headers = null;
  /** Members of `baggage` of that request, each after a comma. */
  baggage = '';

  /**
   * @param flow what {@link compileFlow} made.
   * @param prng the generator of the scenario.
   * @param number of the iteration within its scenario, from 0.
   * @param {boolean} saysCell whether its requests say the cell of its client.
   */
  start(flow, prng, number, saysCell = false) {
    this.flow = flow;
    this.prng = prng;
    this.number = number;
    this.cell = saysCell ? `,client.cell=${prng.index(number, CELL_SITE, CELLS)}` : '';
    this.values = flow.values;
    if (flow.values.length > 0) flow.values.fill(undefined);
  }

  /**
   * Makes the request of a step: draws its variables, decides whether it is taken, and fills in
   * its templates. Steps must be asked for in order, each once.
   *
   * What the step captures is unset until {@link capture} sets it, so a request that fails leaves
   * no value of an earlier round behind.
   *
   * @returns SEND, SKIP, MISSING or UNSENDABLE.
   */
  prepare(step) {
    const { draws } = step;
    const { values } = this;
    for (let i = 0; i < draws.length; i++) draws[i](values, this.prng, this.number);
    if (step.isConditional && !this.isTaken(step)) return SKIP;
    if (step.isPlain) {
      const path = step.path.fill(values);
      if (path === undefined) return MISSING;
      this.path = path;
      this.body = null;
      this.headers = null;
      this.baggage = this.cell;
      return SEND;
    }
    const filled = this.fill(step);
    const { captures } = step;
    for (let i = 0; i < captures.length; i++) values[captures[i].slot] = undefined;
    if (!filled) return MISSING;
    return step.path.mayHaveDots && hasDots(this.path) ? UNSENDABLE : SEND;
  }

  /** Whether a step is taken, by its rounds and its chance. */
  isTaken(step) {
    for (let i = 0; i < step.rounds.length; i++) {
      const { slot, round } = step.rounds[i];
      const rounds = this.values[slot];
      if (typeof rounds !== 'number' || rounds <= round) return false;
    }
    const chance = step.probability;
    return chance === null || this.prng.unit(this.number, chance.site) < chance.chance;
  }

  /** Whether all the step needs has a value. */
  fill(step) {
    const values = this.values;
    const path = step.path.fill(values);
    if (path === undefined) return false;
    let headers = null;
    for (let i = 0; i < step.headers.length; i++) {
      if (step.headers[i].constant !== undefined) continue;
      const value = step.headers[i].fill(values);
      if (value === undefined) return false;
      headers = headers || new Array(step.headers.length);
      headers[i] = value;
    }
    let baggage = this.cell;
    for (let i = 0; i < step.baggage.length; i++) {
      const value = step.baggage[i].fill(values);
      if (value === undefined) return false;
      baggage += `,${step.baggage[i].key}=${baggageValue(value)}`;
    }
    let body = null;
    if (step.json !== null) {
      body = step.json(values);
      if (body === undefined) return false;
    }
    this.path = path;
    this.headers = headers;
    this.baggage = baggage;
    this.body = body;
    return true;
  }

  /**
   * Reads what a step captures from its answer.
   *
   * @param {string} text the body.
   * @param {number} bytes the body's announced length in bytes; NaN where it was not announced.
   * @returns whether all was there.
   */
  capture(step, text, bytes) {
    const answer = parseAnswer(text, bytes);
    if (answer === undefined) return false;
    let all = true;
    const captures = step.captures;
    for (let i = 0; i < captures.length; i++) {
      const { slot, tokens, site } = captures[i];
      let value = follow(answer, tokens);
      if (site !== null) {
        value = Array.isArray(value) && value.length > 0 ? this.element(value, site) : undefined;
      }
      this.values[slot] = value;
      if (value === undefined) all = false;
    }
    return all;
  }

  element(list, site) {
    return list[this.prng.index(this.number, site, Math.min(list.length, MAX_INDEX))];
  }

  /** The pause after a step, in nanoseconds. Not taken after a step that was skipped. */
  thinkTimeNs(step) {
    return this.pauseNs(step.thinkTime);
  }

  /** The pause at the end of the iteration, in nanoseconds. */
  waitTimeNs() {
    return this.pauseNs(this.flow.waitTime);
  }

  pauseNs(think) {
    if (think === null) return 0;
    if (think.max_ns <= think.min_ns) return think.min_ns;
    return this.prng.range(this.number, think.site, think.min_ns, think.max_ns);
  }
}
