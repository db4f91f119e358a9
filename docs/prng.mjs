// The seeded choices of docs/prng.md in JavaScript, for engines that run there (k6 too: no BigInt,
// no TextEncoder). `node docs/prng.mjs docs/prng-vectors.json` checks it against the test vectors;
// with `--write` it makes them.

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];

export function threefry2x32(key, counter) {
  const schedule = [key[0], key[1], 0x1bd11bda ^ key[0] ^ key[1]];
  let x0 = (counter[0] + schedule[0]) >>> 0;
  let x1 = (counter[1] + schedule[1]) >>> 0;
  for (let round = 0; round < 20; round++) {
    const by = ROTATIONS[round % 8];
    x0 = (x0 + x1) >>> 0;
    x1 = (((x1 << by) | (x1 >>> (32 - by))) ^ x0) >>> 0;
    if (round % 4 === 3) {
      const group = (round + 1) / 4;
      x0 = (x0 + schedule[group % 3]) >>> 0;
      x1 = (x1 + schedule[(group + 1) % 3] + group) >>> 0;
    }
  }
  return [x0, x1];
}

function utf8(text) {
  const bytes = unescape(encodeURIComponent(text));
  return Array.from(bytes, (byte) => byte.charCodeAt(0));
}

function fnv1a(bytes) {
  return bytes.reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193) >>> 0, 0x811c9dc5);
}

export class Prng {
  constructor(seed, scenario) {
    const name = utf8(scenario);
    const seedKey = [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
    this.key = threefry2x32(seedKey, [fnv1a(name), name.length]);
  }
  words(iteration, site) {
    return threefry2x32(this.key, [iteration % 2 ** 32, site]);
  }
  index(iteration, site, n) {
    return Math.floor((this.words(iteration, site)[0] * n) / 2 ** 32);
  }
  unit(iteration, site) {
    const [w0, w1] = this.words(iteration, site);
    return ((w0 >>> 5) * 2 ** 26 + (w1 >>> 6)) / 2 ** 53;
  }
  range(iteration, site, low, high) {
    return low + Math.floor(this.unit(iteration, site) * (high - low + 1));
  }
  hex(iteration, site, digits) {
    const text = this.words(iteration, site).map((word) => word.toString(16).padStart(8, '0'));
    return text.join('').slice(0, digits);
  }
}

// Percent-encodes what is not unreserved in RFC 3986.
export function encodeForPath(text) {
  const more = (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase();
  return encodeURIComponent(text).replace(/[!'()*]/g, more);
}

// Numbers of an answer, in the spellings that JSON allows; `text` is how each is sent on.
const numbers = [
  '0', '-0', '0.0', '7', '-7', '712.0', '1e2', '1E+2', '0.1', '0.10', '1.5e-3', '0.000001', '1e-7',
  '123456789012345680000', '1e21', '1.7976931348623157e308', '5e-324', '1e-400',
  '9007199254740991', '9007199254740992', '9007199254740993', '-9007199254740993',
  '18446744073709551615', '18446744073709551617', '-9223372036854775809', '0.30000000000000004',
];

function vectors() {
  const streams = [
    [0, ''],
    [0, 'baseline'],
    [42, 'baseline'],
    [42, 'latency_spike'],
    [2 ** 32, 'x'],
    [2 ** 53 - 1, 'caf\u00e9 \u{1f980}'],
  ];
  const counters = [[0, 0], [0, 1], [1, 0], [1, 1], [7, 3], [1000000, 12], [2 ** 32 - 1, 2 ** 32 - 1], [2 ** 32 + 5, 2]];
  return {
    threefry2x32: [
      [[0, 0], [0, 0]],
      [[0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff]],
      [[0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3]],
    ].map(([key, counter]) => ({ key, counter, words: threefry2x32(key, counter) })),
    streams: streams.map(([seed, scenario]) => {
      const prng = new Prng(seed, scenario);
      return {
        seed,
        scenario,
        key: prng.key,
        draws: counters.map(([iteration, site]) => ({
          iteration,
          site,
          words: prng.words(iteration, site),
          unit: prng.unit(iteration, site),
          index_9: prng.index(iteration, site, 9),
          index_2097152: prng.index(iteration, site, 2 ** 21),
          range_1_6: prng.range(iteration, site, 1, 6),
          range_wide: prng.range(iteration, site, -1e12, 8e15),
          hex_5: prng.hex(iteration, site, 5),
          hex_16: prng.hex(iteration, site, 16),
        })),
      };
    }),
    encode_for_path: ['RED', 'Artificial Intelligence', "a/b?c=d&e#f%'()*!~-._", 'caf\u00e9 \u{1f980}', 'a\r\nb'].map(
      (text) => ({ text, encoded: encodeForPath(text) }),
    ),
    numbers: numbers.map((json) => ({ json, text: String(JSON.parse(json)) })),
  };
}

// k6 has no `process`.
if (typeof process !== 'undefined' && process.argv.length > 2) {
  const { readFileSync, writeFileSync } = await import('node:fs');
  const made = JSON.stringify(vectors(), null, 1) + '\n';
  if (process.argv[3] === '--write') {
    writeFileSync(process.argv[2], made);
  } else if (readFileSync(process.argv[2], 'utf8') !== made) {
    console.error('the test vectors differ');
    process.exit(1);
  }
}
