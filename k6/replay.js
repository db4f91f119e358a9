// Replays a plan:
//
//   k6 run --log-format raw --console-output events.log \
//     -e LOADGEN_PLAN=plan.json -e BASE_URL=http://shop.example:8080 replay.js

// Not from loadgen.js: what only scripts of one's own need takes 150 kB in each VU.
import { replay } from './replayer.js';

const run = replay();

export const options = run.options;
export const setup = run.setup;
export default run.iteration;
export const handleSummary = run.handleSummary;
