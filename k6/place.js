// Which iteration k6 is running in this VU, as cheaply as k6 can say it.

import exec from 'k6/execution';

/** Finds the place of the running iteration; one for each VU. */
export class Place {
  /** Name of the scenario. */
  name = '';
  /** Number of the iteration within its scenario, from 0, in order of start. */
  number = -1;
  /** Number of the VU within the test. */
  vu = 0;
  #scenario = null;

  /** Looks anew. Throws where no iteration is running. */
  find() {
    if (this.#scenario === null) {
      // Each of these costs 8 us, while the object that comes back stays true to whatever iteration
      // is running and costs next to nothing.
      this.#scenario = exec.scenario;
      this.vu = exec.vu.idInTest;
    }
    let number = this.#scenario.iterationInTest;
    let name = this.#scenario.name;
    if (number === this.number && name === this.name) {
      // No VU gets a number twice: in this k6 the object does not stay true after all.
      this.#scenario = exec.scenario;
      number = this.#scenario.iterationInTest;
      name = this.#scenario.name;
    }
    this.name = name;
    this.number = number;
  }

  /** Whether the iteration is the first of its scenario in this instance of k6. */
  isFirst() {
    return this.#scenario.iterationInInstance === 0;
  }

  /** When the scenario's executor began, in Unix milliseconds. */
  startMs() {
    return this.#scenario.startTime;
  }
}
