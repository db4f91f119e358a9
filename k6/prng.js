// Seeded choices (docs/prng.md): Threefry-2x32 with 20 rounds as a pure function of seed, scenario,
// iteration and site. Written for k6's interpreter, where every allocation and call counts: the
// rounds are unrolled, each operation that can be spared is, and the second word comes back in a
// variable of the module.

// k6's interpreter looks up a global by its name at each use, and a variable of the module by its
// place.
const { floor } = Math;

/** Second word of the latest {@link threefry}, an unsigned integer of 32 bits. */
let word1 = 0;

/**
 * One block of the generator. Returns its first word, an unsigned integer of 32 bits, and leaves
 * the second in `word1`. Each argument is an integer of 32 bits, signed or not.
 */
function threefry(key0, key1, counter0, counter1) {
  const key2 = 0x1bd11bda ^ key0 ^ key1;
  // Sums are cut to 32 bits by the operations that follow: until then they stay exact, far below
  // 2^53.
  let x0 = counter0 + key0;
  let x1 = counter1 + key1;
  x0 += x1;
  x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
  x0 += key1;
  x1 += key2 + 1;
  x0 += x1;
  x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
  x0 += key2;
  x1 += key0 + 2;
  x0 += x1;
  x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
  x0 += key0;
  x1 += key1 + 3;
  x0 += x1;
  x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
  x0 += key1;
  x1 += key2 + 4;
  x0 += x1;
  x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
  x0 += x1;
  x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
  x0 += key2;
  x1 += key0 + 5;
  word1 = x1 >>> 0;
  return x0 >>> 0;
}

/** Both words of a block, for test vectors. */
export function block(key, counter) {
  return [threefry(key[0], key[1], counter[0], counter[1]), word1];
}

/** FNV-1a of 32 bits over a text's bytes, one character each. */
function fnv1a(bytes) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) {
    hash = Math.imul(hash ^ bytes.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}

/** A word as eight hexadecimal digits. */
function hex8(word) {
  return (word >>> 0).toString(16).padStart(8, '0');
}

/** The choices of one scenario under a seed (0 to 2^53 - 1). Holds nothing but its key. */
export class Prng {
  constructor(seed, scenario) {
    // k6 has no TextEncoder: this gives the name's UTF-8 bytes as characters.
    const name = unescape(encodeURIComponent(scenario));
    this.key0 = threefry(seed | 0, Math.floor(seed / 4294967296) | 0, fnv1a(name), name.length);
    this.key1 = word1;
  }

  /** The two words drawn at a site, for test vectors. */
  words(iteration, site) {
    return [threefry(this.key0, this.key1, iteration | 0, site), word1];
  }

  /** An integer from 0 to n - 1, for n from 1 to 2^21. */
  index(iteration, site, n) {
    return floor((threefry(this.key0, this.key1, iteration | 0, site) * n) / 4294967296);
  }

  /** A number from 0 up to, but not, 1, with 53 random bits. */
  unit(iteration, site) {
    const high = threefry(this.key0, this.key1, iteration | 0, site) >>> 5;
    return (high * 67108864 + (word1 >>> 6)) / 9007199254740992;
  }

  /** An integer from low to high, both included. */
  range(iteration, site, low, high) {
    const first = threefry(this.key0, this.key1, iteration | 0, site) >>> 5;
    const unit = (first * 67108864 + (word1 >>> 6)) / 9007199254740992;
    return low + floor(unit * (high - low + 1));
  }

  /** A UUID of version 4: 122 bits of the words at the site and at the site + 2^31. */
  uuid(iteration, site) {
    const first = hex8(threefry(this.key0, this.key1, iteration | 0, site));
    const second = hex8(word1);
    const next = threefry(this.key0, this.key1, iteration | 0, site ^ 0x80000000);
    const third = hex8((next & 0x3fffffff) | 0x80000000);
    return (
      `${first}-${second.slice(0, 4)}-4${second.slice(5)}-` +
      `${third.slice(0, 4)}-${third.slice(4)}${hex8(word1)}`
    );
  }

  /** That many lower-case hexadecimal digits, 1 to 16. */
  hex(iteration, site, digits) {
    const first = hex8(threefry(this.key0, this.key1, iteration | 0, site));
    return (first + hex8(word1)).slice(0, digits);
  }
}
