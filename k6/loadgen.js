// loadgen for k6: the module's public face. README.md says how to use it.

export { groundTruth } from './groundtruth.js';
export { replay } from './replayer.js';
