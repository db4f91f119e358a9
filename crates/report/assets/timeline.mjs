// The run over time: windows, faults and phases, above charts of each service.
import { choice, choices, html, absent, section, svg } from "./elements.mjs";
import { chart } from "./chart.mjs";
import { clock, milliseconds, percent, short, verdictOf, withoutFault } from "./format.mjs";
import { colour, onTheme } from "./theme.mjs";

const QUANTILES = [
  ["p50", "p50"],
  ["p95", "p95"],
  ["p99", "p99"],
];

const GAUGES = [
  [
    "saturation",
    "Saturation",
    "highest known use of a pool, a queue or a processor, % of what there is",
    (v) => percent(v),
    (v) => short(v * 100),
  ],
  ["cpu", "Processors used", "processors", (v) => short(v), short],
  [
    "in_flight",
    "Requests in flight",
    "open spans of servers and consumers, on average",
    (v) => short(v),
    short,
  ],
  ["queue", "Waiting", "requests or messages that wait", (v) => short(v), short],
];

const COUNTS = [
  ["log_errors", "Log records of errors", "records a second", (v) => `${short(v)} /s`, short],
  ["log_warnings", "Log records of warnings", "records a second", (v) => `${short(v)} /s`, short],
  ["log_records", "Log records", "records a second", (v) => `${short(v)} /s`, short],
  [
    "new_log_templates",
    "New kinds of log records",
    "templates that were never seen before, a second",
    (v) => `${short(v)} /s`,
    short,
  ],
];

// Times of a window in which rows are not steady.
function phases(window) {
  const out = [];
  const add = (kind, from, to) =>
    from !== null && to !== null && to > from && out.push({ kind, from, to: Math.max(to, from) });
  if (window.warm_up) add("transition", window.opened_s, window.closed_s);
  add("transition", window.opened_s, window.opened_s + window.guard_s);
  for (const fault of window.faults) {
    if (fault.requested_s !== null && fault.injected_s !== null)
      add("transition", fault.requested_s, fault.injected_s + window.guard_s);
    if (fault.cleared_s !== null) {
      add(
        "transition",
        fault.clear_requested_s ?? fault.cleared_s,
        fault.cleared_s + window.guard_s,
      );
      add("recovery", fault.cleared_s, window.recovered_s);
    }
  }
  return out;
}

// Windows whose names have no room in the lane, by name, with their numbers.
function namesByNumber(windows) {
  const numbers = new Map();
  for (const { name, number } of windows) numbers.set(name, [...(numbers.get(name) ?? []), number]);
  return [...numbers].map(([name, of]) => `${of.join(", ")} ${name}`).join(" · ");
}

// The lanes above the charts: windows with their names, faults, phases. As wide as the charts' area.
// `state` has the run and the span of time that is shown.
function lanes(state) {
  const left = 58;
  const right = 20;
  const holder = html("div", { class: "lanes" });
  let zoomed = null;
  const zoom = (from, to) => {
    const [begin, end] = state.span;
    zoomed = from === begin && to === end ? null : [from, to];
    draw();
  };
  const draw = () => {
    const { run } = state;
    const span = zoomed ?? state.span;
    const width = holder.clientWidth;
    if (width === 0) return;
    const x = (s) => left + ((s - span[0]) / (span[1] - span[0] || 1)) * (width - left - right);
    const box = (from, to, y, height, attributes) =>
      svg("rect", {
        x: x(Math.max(from, span[0])),
        y,
        width: Math.max(1, x(Math.min(to, span[1])) - x(Math.max(from, span[0]))),
        height,
        ...attributes,
      });
    const label = (text, y) =>
      svg("text", { x: left - 6, y, "text-anchor": "end", class: "lane-name" }, text);
    const parts = [
      svg(
        "defs",
        {},
        svg(
          "pattern",
          { id: "dots", width: 5, height: 4.5, patternUnits: "userSpaceOnUse" },
          svg("circle", { cx: 2.5, cy: 2.25, r: 1.3, fill: colour("quiet") }),
        ),
        svg(
          "pattern",
          {
            id: "hatch",
            width: 6,
            height: 6,
            patternUnits: "userSpaceOnUse",
            patternTransform: "rotate(45)",
          },
          svg("rect", { width: 2.5, height: 6, fill: colour("quiet") }),
        ),
      ),
      width > 500 && label("window", 19),
      width > 500 && label("fault", 41),
      width > 500 && label("phase", 56),
    ];
    const cut = [];
    for (const window of run.windows) {
      if (window.closed_s <= span[0] || window.opened_s >= span[1]) continue;
      const own = colour(window.shown_type === "none" ? "normal" : "anomalous");
      const begin = x(Math.max(window.opened_s, span[0]));
      const wide = x(Math.min(window.closed_s, span[1])) - begin;
      const room = Math.floor((wide - 8) / 7.2);
      const numbered = `${window.number} ${window.name}`;
      const fits = window.name.length <= room;
      const begun = room >= 8 ? `${numbered.slice(0, room - 1)}…` : String(window.number);
      const name = fits ? window.name : begun;
      if (!fits) cut.push(window);
      parts.push(
        svg(
          "g",
          {},
          svg(
            "title",
            {},
            `${window.number}: ${window.name}, ${clock(window.opened_s)} to ${clock(window.closed_s)}, ${verdictOf(window).text}`,
          ),
          box(window.opened_s, window.closed_s - (span[1] - span[0]) / width, 4, 22, {
            fill: own,
            rx: 3,
            class: window.shown_type === "none" ? "window normal" : "window",
          }),
          wide > 12 &&
            svg(
              "text",
              {
                x: begin + 5,
                y: 19,
                class: window.shown_type === "none" ? "window-name normal" : "window-name",
              },
              name,
            ),
        ),
      );
      for (const fault of window.faults) {
        if (
          fault.injected_s === null ||
          (fault.cleared_s ?? span[1]) <= span[0] ||
          fault.injected_s >= span[1]
        )
          continue;
        parts.push(
          svg(
            "g",
            {},
            svg(
              "title",
              {},
              `${fault.name} in ${fault.service || "?"}${withoutFault(fault)}, confirmed ${clock(fault.injected_s)} to ${fault.cleared_s === null ? "the end" : clock(fault.cleared_s)}`,
            ),
            box(fault.injected_s, fault.cleared_s ?? span[1], 32, 10, {
              fill: fault.sham || fault.harmless ? "none" : own,
              stroke: fault.sham || fault.harmless ? own : colour("paper"),
              rx: 2,
            }),
          ),
        );
      }
      for (const phase of phases(window)) {
        if (phase.to <= span[0] || phase.from >= span[1]) continue;
        parts.push(
          svg(
            "g",
            {},
            svg("title", {}, `${phase.kind}, ${clock(phase.from)} to ${clock(phase.to)}`),
            box(phase.from, phase.to, 48, 9, {
              fill: phase.kind === "transition" ? "url(#hatch)" : "url(#dots)",
            }),
          ),
        );
      }
    }
    holder.replaceChildren(
      svg(
        "svg",
        {
          width,
          height: 62,
          role: "img",
          "aria-label":
            "Windows, faults that were confirmed, and phases over the run; the table of verdicts has the same in words",
        },
        parts,
      ),
      cut.length > 0 && html("p", { class: "note numbers" }, `Windows: ${namesByNumber(cut)}`),
    );
  };
  onTheme(draw);
  addEventListener("resize", draw);
  return { holder, draw, zoom };
}

// How far a run reaches, from its begin.
const spanOf = (run) => [Math.min(run.span_s[0], 0), Math.max(run.span_s[1], 1)];

function legend(run) {
  const injectsNothing = run.windows.some((window) => window.faults.some(withoutFault));
  return html(
    "div",
    { class: "legend" },
    html("span", {}, html("span", { class: "key normal" }), "normal"),
    html("span", {}, html("span", { class: "key anomalous" }), "anomaly, or its fault"),
    injectsNothing &&
      html("span", {}, html("span", { class: "key outlined" }), "nothing is broken"),
    html("span", {}, html("span", { class: "key hatched" }), "transition"),
    html("span", {}, html("span", { class: "key recovering" }), "recovery"),
  );
}

// Buttons, one a service, that show or hide its lines in all charts.
function serviceButtons(state, names, services, update) {
  const buttons = names.map((name) => {
    const dot = html("span", { class: "dot" });
    const paint = () => (dot.style.background = services.colour(name));
    onTheme(paint);
    paint();
    const button = html(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": !state.hidden.has(name),
        onclick: () => {
          state.hidden.has(name) ? state.hidden.delete(name) : state.hidden.add(name);
          refresh();
          update();
        },
      },
      dot,
      name,
    );
    return { name, button };
  });
  const refresh = () =>
    buttons.forEach(({ name, button }) =>
      button.setAttribute("aria-pressed", !state.hidden.has(name)),
    );
  const all = html(
    "button",
    {
      type: "button",
      class: "chip plain",
      onclick: () => {
        const none = state.hidden.size === 0;
        state.hidden = new Set(none ? names : []);
        refresh();
        update();
      },
    },
    "all or none",
  );
  return html(
    "div",
    { class: "chips", role: "group", "aria-label": "Services that the charts show" },
    buttons.map(({ button }) => button),
    all,
  );
}

const SERVED = ["server", "consumer"];

// The kinds of spans that stand for what a service did: what it served, unless asked otherwise.
function kindsOf(series, kind) {
  const wanted = kind === "served" ? SERVED : [kind];
  return wanted.map((name) => series.kinds[name]).filter(Boolean);
}

const sumOf = (kinds, name, at) => kinds.reduce((sum, of) => sum + of[name][at], 0);

// The quantile of the kind that has the most spans in a step: quantiles don't add up.
function quantileOf(kinds, name, at) {
  const busiest = kinds.reduce(
    (best, of) => (best === null || of.count[at] > best.count[at] ? of : best),
    null,
  );
  return busiest && busiest.count[at] > 0 ? busiest[name][at] : null;
}

// Whether latencies differ so much that most lines would lie on the axis of a linear scale.
function isWide(data) {
  const values = data.services
    .flatMap((of) => kindsOf(of, "served").flatMap((kind) => kind.p95))
    .filter((value) => value > 0)
    .sort((a, b) => a - b);
  return values.length > 0 && values.at(-1) > 100 * values[Math.floor(values.length / 2)];
}

// Options of the charts, as they are when the page opens. A page that is fed keeps what was chosen.
function choicesOf(data) {
  const kinds = [...new Set(data.services.flatMap((of) => Object.keys(of.kinds)))].sort();
  const serves = kinds.some((kind) => SERVED.includes(kind));
  return {
    hidden: new Set(),
    service: "",
    quantile: "p95",
    kind: serves ? "served" : (kinds[0] ?? "served"),
    gauge: "saturation",
    scale: isWide(data) ? "log" : "linear",
    kinds: [
      ...(serves ? [["served", "requests served (server, consumer)"]] : []),
      ...kinds.map((kind) => [kind, `${kind} spans`]),
    ],
  };
}

// What the four charts show: their series from the figures and from what was chosen.
function drawCharts(charts, state, services) {
  const { data, chosen } = state;
  const times = Array.from(
    { length: data.steps },
    (_, at) => data.from_s + (at + 0.5) * data.step_s,
  );
  const [from, to] = state.span;
  const inside = times
    .map((_, at) => at)
    .filter((at) => times[at] >= from - data.step_s && times[at] <= to + data.step_s);
  const shownTimes = inside.map((at) => times[at]);
  const nothing = inside.map(() => null);
  const lines = (values) =>
    data.services
      .filter(
        (of) =>
          !chosen.hidden.has(of.service) &&
          (chosen.service === "" || of.service === chosen.service),
      )
      .map((of) => ({
        name: of.service,
        colour: services.colour(of.service),
        dash: services.dash(of.service),
        values: values(of),
      }));
  const ofKind = (of) => kindsOf(of, chosen.kind);
  const none = "No service has spans of this kind.";

  charts.rate.draw(
    shownTimes,
    lines((of) => {
      const kinds = ofKind(of);
      return kinds.length === 0
        ? nothing
        : inside.map((at) => sumOf(kinds, "count", at) / data.step_s);
    }),
    none,
  );
  charts.errors.draw(
    shownTimes,
    lines((of) => {
      const kinds = ofKind(of);
      return inside.map((at) => {
        const count = sumOf(kinds, "count", at);
        return count > 0 ? sumOf(kinds, "errors", at) / count : null;
      });
    }),
    none,
  );

  const quantile = (name) => (of) => inside.map((at) => quantileOf(ofKind(of), name, at));
  const one = data.services.find((of) => of.service === chosen.service);
  const scale = chosen.scale === "log" ? ", logarithmic" : "";
  if (one) {
    const dashes = { p50: [], p95: [6, 3], p99: [2, 2] };
    charts.latency.unit(`ms: p50 solid, p95 dashed, p99 dotted, of ${one.service}${scale}`);
    charts.latency.draw(
      shownTimes,
      QUANTILES.map(([name]) => ({
        name,
        colour: services.colour(one.service),
        dash: dashes[name],
        values: quantile(name)(one),
      })),
      none,
    );
  } else {
    charts.latency.unit(`ms, ${chosen.quantile}${scale}`);
    charts.latency.draw(shownTimes, lines(quantile(chosen.quantile)), none);
  }

  const [name, title, unit] = gaugeInfo(chosen.gauge);
  charts.gauge.title(title);
  charts.gauge.unit(unit);
  const perSecond = (of) => {
    const counts = of.counts[name];
    if (counts) return inside.map((at) => counts[at] / data.step_s);
    return Object.keys(of.counts).length > 0 ? inside.map(() => 0) : nothing;
  };
  const level = (of) => (of.gauges[name] ? inside.map((at) => of.gauges[name][at]) : nothing);
  charts.gauge.draw(
    shownTimes,
    lines(COUNTS.some(([of]) => of === name) ? perSecond : level),
    "No service has a metric that says it.",
  );
}

const gaugeInfo = (name) => [...GAUGES, ...COUNTS].find(([of]) => of === name);

function controls(state, services, update) {
  const { chosen, data } = state;
  const set = (name) => (value) => {
    chosen[name] = value;
    update();
  };
  const known = [...GAUGES, ...COUNTS].filter(
    ([name]) =>
      name === "saturation" || data.services.some((of) => of.gauges[name] || of.counts[name]),
  );
  return html(
    "div",
    { class: "controls" },
    choice(
      state.live ? "Step" : "Service",
      [["", "all"], ...data.services.map((of) => [of.service, of.service])],
      "",
      set("service"),
    ),
    chosen.kinds.length > 1 && choice("Spans", chosen.kinds, chosen.kind, set("kind")),
    choices("Quantile of the latency", QUANTILES, chosen.quantile, set("quantile")),
    choices(
      "Scale of the latency",
      [
        ["linear", "linear"],
        ["log", "log"],
      ],
      chosen.scale,
      set("scale"),
    ),
    !state.live &&
      choice(
        "Fourth chart",
        known.map(([name, title]) => [name, title]),
        chosen.gauge,
        set("gauge"),
      ),
  );
}

function rowsWords(data) {
  if (data.table === "live")
    return `Steps of ${short(data.step_s)} s, of requests as the generator sees them.`;
  if (data.rows_per_step === 1)
    return `Steps of ${short(data.step_s)} s, from the table ${data.table}.`;
  return `Steps of ${short(data.step_s)} s, each of ${data.rows_per_step} rows of the table ${data.table}: counts are sums, quantiles are means weighted by spans.`;
}

// The part of the page, `draw`, and `refresh`, which takes the run as it is now.
export function timeline(run, services, live) {
  const state = { run, data: run.series, span: spanOf(run), chosen: null, live };
  const strip = lanes(state);
  const keys = html("div", {}, legend(run));
  const part = section(
    "timeline",
    "Timeline",
    html(
      "p",
      { class: "note" },
      "Time since the run began. Bands are windows that declare an anomaly, the bar at their foot is the time in which the fault was confirmed; hatched: near a change, left out of the steady rows. Colours stand for services.",
    ),
    keys,
  );
  const body = html("div", {});
  part.append(body);
  let update = () => {};
  const build = () => {
    if (state.data === null) {
      body.replaceChildren(
        html("div", { class: "charts" }, strip.holder),
        absent(
          live
            ? "No request has ended yet."
            : "Without the table windows_features_5s there are no charts: an older loadgen made this dataset, or there is none. Extract again to have them.",
        ),
      );
      return;
    }
    state.chosen = choicesOf(state.data);
    const common = {
      windows: () => state.run.windows,
      span: () => state.span,
      zoomed: strip.zoom,
    };
    const charts = {
      rate: chart({
        ...common,
        title: "Rate",
        unit: live ? "requests a second" : "spans a second",
        format: (v) => `${short(v)} /s`,
        tick: short,
      }),
      errors: chart({
        ...common,
        title: "Errors",
        unit: live ? "% of requests that did not go as expected" : "% of spans that have an error",
        format: percent,
        tick: (v) => short(v * 100),
      }),
      latency: chart({
        ...common,
        title: "Latency",
        unit: "ms",
        format: milliseconds,
        tick: short,
        log: () => state.chosen.scale === "log",
      }),
      gauge: chart({
        ...common,
        title: "Saturation",
        unit: "",
        format: (v) => gaugeInfo(state.chosen.gauge)[3](v),
        tick: (v) => gaugeInfo(state.chosen.gauge)[4](v),
      }),
    };
    update = () => drawCharts(charts, state, services);
    const about = html("p", { class: "note" });
    body.replaceChildren(
      controls(state, services, () => update()),
      serviceButtons(
        state.chosen,
        state.data.services.map((of) => of.service),
        services,
        () => update(),
      ),
      html(
        "div",
        { class: "charts" },
        strip.holder,
        charts.rate.figure,
        charts.errors.figure,
        charts.latency.figure,
        live ? null : charts.gauge.figure,
      ),
      about,
    );
    state.about = () =>
      (about.textContent = `${rowsWords(state.data)} Drag over a chart to zoom, double-click to see all.`);
    state.about();
  };
  build();
  onTheme(() => update());
  const draw = () => {
    strip.draw();
    update();
  };
  const refresh = (now) => {
    const isNew = (state.data === null) !== (now.series === null);
    Object.assign(state, { run: now, data: now.series, span: spanOf(now) });
    keys.replaceChildren(legend(now));
    if (isNew) build();
    state.about?.();
    draw();
  };
  return { part, draw, refresh };
}
