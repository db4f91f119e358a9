// Templates of a plan (a path, a header's value, a JSON body) compiled into functions of an
// iteration's values. What they write is, byte for byte, what the Rust engine writes
// (docs/prng.md, "Values in requests").
//
// Every template is flattened into pieces, texts and holes in turn, so filling one is nothing but
// joining texts.

const UNRESERVED = /^[\w.~-]*$/;

/**
 * Percent-encodes all but RFC 3986's unreserved characters, so a value stays one segment of a
 * path or one value of a query.
 */
export function encodeForPath(text) {
  // Most values are plain, and seeing that costs a fifth of encoding them.
  if (UNRESERVED.test(text)) return text;
  return encodeURIComponent(text).replace(/[!'()*]/g, percent);
}

function percent(character) {
  return '%' + character.charCodeAt(0).toString(16).toUpperCase();
}

// What Rust's `char::is_control` says.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g;

/** A value of a header, without control characters. */
export function withoutControls(text) {
  return text.replace(CONTROLS, '');
}

// Unicode's White_Space, which is not quite JavaScript's `\s`.
const BLANK = '[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const BLANKS_AROUND = new RegExp(`^${BLANK}+|${BLANK}+$`, 'g');
const BLANKS = new RegExp(BLANK, 'g');
const NOT_PLAIN = /[^ -~]/;

/**
 * Any text as a header's value: printable ASCII stays, white space becomes a blank, every other
 * character a question mark.
 */
export function headerValue(text) {
  const trimmed = text.replace(BLANKS_AROUND, '');
  if (!NOT_PLAIN.test(trimmed)) return trimmed;
  return trimmed.replace(BLANKS, ' ').replace(/[^ -~]/gu, '?');
}

/** A value as text: a text as it is, anything else as JSON without blanks. */
export function asText(value) {
  if (typeof value === 'string') return value;
  // The same text as JSON.stringify's, only faster.
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}

/** The tokens of a JSON Pointer (RFC 6901); `null` for one that leads nowhere. */
export function pointerTokens(pointer) {
  if (pointer === '') return [];
  if (pointer[0] !== '/') return null;
  const unescaped = (token) => token.replace(/~1/g, '/').replace(/~0/g, '~');
  return pointer.slice(1).split('/').map(unescaped);
}

const ARRAY_INDEX = /^(?:0|[1-9][0-9]*)$/;
const hasOwn = Object.prototype.hasOwnProperty;

/** What the tokens lead to from a value; `undefined` for nothing. */
export function follow(value, tokens) {
  if (tokens === null) return undefined;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (value === null || typeof value !== 'object') return undefined;
    if (Array.isArray(value)) {
      if (!ARRAY_INDEX.test(token)) return undefined;
      value = value[token];
    } else {
      if (!hasOwn.call(value, token)) return undefined;
      value = value[token];
    }
    if (value === undefined) return undefined;
  }
  return value;
}

// A piece is a text, or a hole: {slot, tokens, write}, where `write` makes a text of the value.

function hole(reference, write) {
  return { slot: reference.slot, tokens: pointerTokens(reference.pointer), write };
}

/** Neighbouring texts become one, and empty ones go. */
function merged(pieces) {
  const out = [];
  for (const piece of pieces) {
    const last = out.length - 1;
    if (typeof piece !== 'string') out.push(piece);
    else if (piece !== '' && typeof out[last] === 'string') out[last] += piece;
    else if (piece !== '') out.push(piece);
  }
  return out;
}

function fillHole({ slot, tokens, write }) {
  if (tokens !== null && tokens.length === 0) {
    return (values) => {
      const value = values[slot];
      return value === undefined ? undefined : write(value);
    };
  }
  return (values) => {
    const held = values[slot];
    const value = held === undefined ? undefined : follow(held, tokens);
    return value === undefined ? undefined : write(value);
  };
}

/**
 * A function that joins the pieces for an iteration's values (an array by slot; `undefined` is a
 * variable without a value). It returns `undefined` where a value is missing.
 */
function joined(all) {
  const pieces = merged(all);
  const holes = pieces.filter((piece) => typeof piece !== 'string');
  if (holes.length === 0) {
    const text = pieces.join('');
    return () => text;
  }
  if (holes.length === 1) {
    // By far the most common form, so without a loop.
    const at = pieces.indexOf(holes[0]);
    const before = pieces.slice(0, at).join('');
    const after = pieces.slice(at + 1).join('');
    const { slot, tokens, write } = holes[0];
    if (tokens !== null && tokens.length === 0) {
      return (values) => {
        const value = values[slot];
        return value === undefined ? undefined : before + write(value) + after;
      };
    }
    const fill = fillHole(holes[0]);
    return (values) => {
      const text = fill(values);
      return text === undefined ? undefined : before + text + after;
    };
  }
  const fills = pieces.map((piece) => (typeof piece === 'string' ? piece : fillHole(piece)));
  return (values) => {
    let text = '';
    for (let i = 0; i < fills.length; i++) {
      const fill = fills[i];
      if (typeof fill === 'string') {
        text += fill;
      } else {
        const filled = fill(values);
        if (filled === undefined) return undefined;
        text += filled;
      }
    }
    return text;
  };
}

// What may stand in a URL as it is, beside percent-encoded bytes. A plan's own text holds nothing
// else but `'` in a query, which the URL standard has encoded there.
const NOT_IN_PATH = /[^!$%&'()*+,\-./0-9:;=@A-Z[\]_a-z~]/gu;
const NOT_IN_QUERY = /[^!$%&()*+,\-./0-9:;=?@A-Z[\]_a-z~]/gu;

function encodeCharacter(character) {
  return character === "'" ? '%27' : encodeURIComponent(character);
}

/** A plan's own text in a path, or in the query after it, as it goes into a URL. */
export function encodeOwnText(text, inQuery) {
  return text.replace(inQuery ? NOT_IN_QUERY : NOT_IN_PATH, encodeCharacter);
}

// A segment that comes to `.` or `..`: whoever handles the URL takes it out, and the request goes
// elsewhere.
const DOTS = /\/(?:\.|%2e){1,2}(?=[/?]|$)/i;

/** Whether a path (with query) has a segment that comes to `.` or `..`. */
export function hasDots(path) {
  const query = path.indexOf('?');
  return DOTS.test(query < 0 ? path : path.slice(0, query));
}

/**
 * A path template, compiled.
 *
 * @returns `{fill, mayHaveDots}`: `fill(values)` makes path and query, or `undefined`; where
 *   `mayHaveDots`, {@link hasDots} has to look at each.
 */
export function compilePath(template) {
  let inQuery = false;
  let holeInPath = false;
  const pieces = template.map((part) => {
    if (part.var !== undefined) {
      holeInPath = holeInPath || !inQuery;
      // A whole number has nothing to encode.
      return hole(part.var, (value) => (value === (value | 0) ? `${value}` : encodeForPath(asText(value))));
    }
    const question = inQuery ? 0 : part.text.indexOf('?');
    if (inQuery || question < 0) return encodeOwnText(part.text, inQuery);
    inQuery = true;
    const path = encodeOwnText(part.text.slice(0, question), false);
    return path + '?' + encodeOwnText(part.text.slice(question + 1), true);
  });
  const own = pieces.map((piece) => (typeof piece === 'string' ? piece : '0')).join('');
  if (/%(?![0-9A-Fa-f]{2})/.test(own.split('?')[0])) {
    throw new Error(`k6 can't send a path with a stray %: write %25 in ${own}`);
  }
  return { fill: joined(pieces), mayHaveDots: holeInPath || hasDots(own) };
}

/** A header's template, compiled into a function of the values. */
export function compileHeader(template) {
  const own = (part) => part.var === undefined;
  if (template.every(own)) {
    const text = headerValue(template.map((part) => part.text).join(''));
    return { constant: text, fill: () => text };
  }
  const write = (value) => withoutControls(asText(value));
  const fill = joined(template.map((part) => (own(part) ? part.text : hole(part.var, write))));
  return {
    constant: undefined,
    fill: (values) => {
      const text = fill(values);
      return text === undefined ? undefined : headerValue(text);
    },
  };
}

/** A text with holes; values go in without control characters. */
export function compileText(template) {
  const write = (value) => withoutControls(asText(value));
  return joined(template.map((part) => (part.var === undefined ? part.text : hole(part.var, write))));
}

/** A text with holes, as the inside of a JSON string. */
function jsonText(template) {
  const escaped = (value) => JSON.stringify(asText(value)).slice(1, -1);
  return template.map((part) =>
    part.var === undefined ? escaped(part.text) : hole(part.var, escaped),
  );
}

/** The pieces of a JSON template. Keys keep the plan's order, whole numbers among them too. */
function jsonPieces(template) {
  const [kind] = Object.keys(template);
  const inner = template[kind];
  switch (kind) {
    case 'value':
      return [JSON.stringify(inner)];
    case 'var':
      return [hole(inner, JSON.stringify)];
    case 'text':
      return ['"', ...jsonText(inner), '"'];
    case 'array':
      return ['[', ...separated(inner.map(jsonPieces)), ']'];
    case 'object': {
      const member = ([key, value]) => [JSON.stringify(key) + ':', ...jsonPieces(value)];
      return ['{', ...separated(inner.map(member)), '}'];
    }
    default:
      throw new Error(`a JSON template of an unknown kind, ${kind}: the plan is of a newer loadgen`);
  }
}

function separated(lists) {
  return lists.flatMap((pieces, index) => (index === 0 ? pieces : [',', ...pieces]));
}

/** A JSON body's template, compiled into a function of the values. */
export function compileJson(template) {
  return joined(jsonPieces(template));
}
