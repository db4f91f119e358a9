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
    slots: flow.variables.length,
    steps: flow.steps.map((step) => compileStep(step, flow)),
    waitTime: flow.wait_time || null,
  };
}

function compileStep(step, flow) {
  try {
    return {
      name: step.name,
      method: step.method,
      path: compilePath(step.path),
      headers: step.headers.map(([name, template]) => ({ name, ...compileHeader(template) })),
      baggage: (step.baggage || []).map(([key, template]) => ({ key, fill: compileText(template) })),
      json: step.json === null ? null : compileJson(step.json),
      expect: compileExpect(step.expect),
      thinkTime: step.think_time,
      timeoutNs: step.timeout_ns,
      probability: step.probability,
      rounds: step.rounds || [],
      draws: step.draws.map(compileDraw),
      captures: step.captures.map(({ slot, pointer, random_element }) => ({
        slot,
        tokens: pointerTokens(pointer),
        site: random_element,
      })),
    };
  } catch (error) {
    throw new Error(`flow ${flow.name}, step ${step.name}: ${error.message}`);
  }
}

function compileDraw({ slot, choice, site }) {
  const { pick, range, hex, uuid } = choice;
  if (choice.flag !== undefined) {
    throw new Error("k6 can't follow a flag while it runs: take --engine rust");
  }
  return {
    slot,
    site,
    pick: pick === undefined ? null : pick,
    low: range === undefined ? 0 : range[0],
    high: range === undefined ? 0 : range[1],
    // Not 0: hexadecimal digits.
    digits: hex === undefined ? 0 : hex,
    isUuid: uuid !== undefined,
  };
}

function compileExpect({ status, content_type }) {
  return { status, contentType: content_type === null ? null : content_type.toLowerCase() };
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
 * matter; an answer without the header is judged as the empty text.
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
    this.values = flow.slots === 0 ? NO_VALUES : new Array(flow.slots);
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
    const draws = step.draws;
    for (let i = 0; i < draws.length; i++) {
      this.values[draws[i].slot] = this.drawn(draws[i]);
    }
    for (let i = 0; i < step.rounds.length; i++) {
      const { slot, round } = step.rounds[i];
      const rounds = this.values[slot];
      if (typeof rounds !== 'number' || rounds <= round) return SKIP;
    }
    const chance = step.probability;
    if (chance !== null && this.prng.unit(this.number, chance.site) >= chance.chance) return SKIP;
    const filled = this.fill(step);
    const captures = step.captures;
    for (let i = 0; i < captures.length; i++) this.values[captures[i].slot] = undefined;
    if (!filled) return MISSING;
    return step.path.mayHaveDots && hasDots(this.path) ? UNSENDABLE : SEND;
  }

  drawn(draw) {
    const { prng, number } = this;
    if (draw.pick !== null) {
      return draw.pick[prng.index(number, draw.site, Math.min(draw.pick.length, MAX_INDEX))];
    }
    if (draw.isUuid) return prng.uuid(number, draw.site);
    if (draw.digits !== 0) return prng.hex(number, draw.site, draw.digits);
    return prng.range(number, draw.site, draw.low, draw.high);
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

const NO_VALUES = [];
