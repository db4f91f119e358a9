// Numbers, times and words for people.

export function whole(value) {
  if (value === null || value === undefined) return "–";
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, " ");
}

// Three significant digits, without an exponent.
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return whole(value);
  if (size === 0) return "0";
  if (size < 0.001) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 10000) return `${short(value / 1000)} s`;
  return `${short(value)} ms`;
}

export function percent(share) {
  if (share === null || share === undefined) return "–";
  return `${short(100 * share)} %`;
}

// Seconds since the run began: 1:05, or 1:01:05.
export function clock(seconds) {
  const sign = seconds < 0 ? "−" : "";
  const all = Math.round(Math.abs(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(all / 3600);
  const minutes = Math.floor(all / 60) % 60;
  return sign + (hours > 0 ? `${hours}:${two(minutes)}` : `${minutes}`) + `:${two(all % 60)}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 120) return `${clock(value)} min`;
  return `${Math.abs(value) < 10 ? Number(value.toFixed(2)) : Number(value.toFixed(1))} s`;
}

export function moment(unixMs) {
  return `${new Date(unixMs).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let size = count;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? size : short(size)} ${units[unit]}`;
}

export function signed(value) {
  if (value === null || value === undefined) return "–";
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

export function probability(p) {
  if (p === null || p === undefined) return "–";
  return p < 0.0001 ? "< 0.0001" : p.toFixed(4);
}

export function words(name) {
  return String(name ?? "").replaceAll("_", " ");
}

// A window by its scenario, and by its type where that has another name.
export function windowName(window) {
  const { scenario, anomaly_type: type, declared, sham_of: sham } = window;
  if (window.warm_up) return `${words(scenario)} (warm-up)`;
  if (sham && window.fault_state === "harmless")
    return `${words(scenario)} (harmless, evaluated as ${words(sham)})`;
  if (sham) return `${words(scenario)} (sham of ${words(sham)})`;
  const shown = type === "none" && declared ? declared : type;
  return shown === scenario || (type === "none" && !declared)
    ? words(scenario)
    : `${words(scenario)} (${words(shown)})`;
}

// What is said of a fault that breaks nothing.
export function withoutFault(fault) {
  if (fault.sham) return " (a sham: nothing is injected)";
  return fault.harmless ? " (harmless: nothing is broken)" : "";
}

// Whether a window declares an anomaly, injected or not.
export function declares(window) {
  return window.anomaly_type !== "none" || Boolean(window.sham_of) || Boolean(window.declared);
}

const VERDICTS = {
  supported: ["good", "supported"],
  weak: ["fair", "weak"],
  not_supported: ["bad", "not supported"],
  not_enough_data: ["unknown", "not enough data"],
  clean: ["good", "clean"],
  disturbed: ["fair", "disturbed"],
};

const SIGNS = { good: "✓", fair: "~", bad: "✕", unknown: "?" };

// How good a window's verdict is, its sign and its words: a colour is never alone. A normal window
// that there was nothing to compare with is clean as far as anybody knows, which is no good sign.
export function verdictOf({ verdict: name, effect }) {
  if (name === "clean" && !effect)
    return { kind: "unknown", sign: SIGNS.unknown, text: "clean, not compared" };
  const [kind, text] = VERDICTS[name] ?? ["unknown", name ? words(name) : "not evaluated"];
  return { kind, sign: SIGNS[kind], text };
}

// How often which verdict came, the best first.
export function verdictCounts(windows) {
  const order = Object.values(VERDICTS).map(([, text]) => text);
  const counts = new Map();
  for (const window of windows.filter((of) => of.verdict)) {
    const of = verdictOf(window);
    counts.set(of.text, { ...of, count: (counts.get(of.text)?.count ?? 0) + 1 });
  }
  const place = ({ text }) => (order.includes(text) ? order.indexOf(text) : order.length);
  return [...counts.values()].sort((a, b) => place(a) - place(b));
}

const DATASETS = {
  usable: ["good", "usable"],
  usable_with_warnings: ["fair", "usable with warnings"],
  not_usable: ["bad", "not usable"],
};

export function datasetVerdict(name) {
  const [kind, text] = DATASETS[name] ?? ["unknown", words(name)];
  return { kind, sign: SIGNS[kind], text };
}

const LEVELS = {
  ok: ["good", "ok"],
  info: ["note", "info"],
  warning: ["fair", "warning"],
  error: ["bad", "error"],
};

export function level(name) {
  const [kind, text] = LEVELS[name] ?? ["unknown", name];
  return { kind, sign: { ...SIGNS, note: "i" }[kind], text };
}
