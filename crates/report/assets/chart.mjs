// A chart of series over the time of a run, by uPlot, with windows and faults behind it.
/* global uPlot */
import { html } from "./elements.mjs";
import { clock, words } from "./format.mjs";
import { colour, faint, isDark, onTheme } from "./theme.mjs";

const charts = new Set();
const HEIGHT = 190;

// Draws what was wrong with the system behind the series: windows that declare an anomaly as bands,
// the time in which a fault was confirmed as a bar at the foot.
function backdrop(windows) {
  return (plot) => {
    const { ctx, bbox } = plot;
    const x = (s) => plot.valToPos(s, "x", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const [at, window] of windows().entries()) {
      const left = x(window.opened_s);
      const width = x(window.closed_s) - left;
      if (window.shown_type !== "none") {
        // Neighbours differ a little.
        const strength = (isDark() ? 0.13 : 0.1) - (at % 2) * 0.045;
        ctx.fillStyle = faint(colour("anomalous"), strength);
        ctx.fillRect(left, bbox.top, width, bbox.height);
      }
      ctx.strokeStyle = colour("rule");
      ctx.lineWidth = devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      for (const fault of window.faults) {
        if (fault.injected_s === null) continue;
        const from = x(fault.injected_s);
        const to = x(fault.cleared_s ?? plot.scales.x.max);
        ctx.fillStyle = colour("anomalous");
        ctx.fillRect(
          from,
          bbox.top + bbox.height - 3 * devicePixelRatio,
          to - from,
          3 * devicePixelRatio,
        );
      }
    }
    ctx.restore();
  };
}

// What is under the cursor, beside it: the values of the series that are shown, largest first.
function tooltip(options) {
  const box = html("div", { class: "tooltip", role: "status", "aria-live": "off" });
  const update = (plot) => {
    const { idx, left, top } = plot.cursor;
    if (idx === null || idx === undefined || left < 0) {
      box.hidden = true;
      return;
    }
    const at = plot.data[0][idx];
    const rows = plot.series
      .slice(1)
      .map((series, n) => ({ series, value: plot.data[n + 1][idx] }))
      .filter(({ series, value }) => series.show && value !== null && value !== undefined)
      .sort((a, b) => b.value - a.value)
      .slice(0, 10);
    const window = options.windows().find((w) => w.opened_s <= at && at < w.closed_s);
    box.replaceChildren(
      html(
        "div",
        { class: "when" },
        (options.x?.words ?? clock)(at),
        window ? ` · ${window.name}` : "",
      ),
      rows.length === 0
        ? html("div", { class: "note" }, "nothing")
        : html(
            "table",
            {},
            rows.map(({ series, value }) =>
              html(
                "tr",
                {},
                html("td", {}, html("span", { class: "dot", style: { background: series.own } })),
                html("th", { scope: "row" }, series.label),
                html("td", { class: "number" }, options.format(value)),
              ),
            ),
          ),
    );
    box.hidden = false;
    const room = plot.over.clientWidth;
    const own = box.offsetWidth;
    const right = left + 16 + own <= room;
    box.style.left = `${Math.max(0, right ? left + 16 : left - own - 16)}px`;
    box.style.top = `${Math.min(Math.max(0, top - 20), Math.max(0, plot.over.clientHeight - box.offsetHeight))}px`;
  };
  return { init: (plot) => plot.over.append(box), update };
}

// The largest number with one digit that is not above `value`. uPlot takes its steps on a
// logarithmic axis from the lower end, and from 0.097, say, it never arrives.
function below(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return Number((Math.floor(value / unit) * unit).toPrecision(1));
}

function axes(options, log) {
  const quiet = colour("quiet");
  const grid = { stroke: colour("grid"), width: 1 };
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return [
    {
      stroke: quiet,
      grid: { show: false },
      ticks: { ...grid, size: 4 },
      font,
      size: 28,
      space: 70,
      values: (_, ticks) => ticks.map(options.x?.tick ?? clock),
      ...(options.x
        ? { splits: options.x.splits }
        : { incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400] }),
    },
    // On a logarithmic scale lines stand at powers of ten alone.
    {
      stroke: quiet,
      grid: log
        ? {
            ...grid,
            filter: (_, ticks) =>
              ticks.map((tick) => (Number.isInteger(Math.log10(tick)) ? tick : null)),
          }
        : grid,
      ticks: { show: false },
      font,
      size: 58,
      space: 34,
      values: (_, ticks) => ticks.map((value) => (value === null ? "" : options.tick(value))),
    },
  ];
}

// A chart: `options` has `title`, `unit`, `format`, `tick`, `windows` (a function),
// `span` (a function: begin and end of its time), `zoomed` (told when that changes), and `log` if its
// scale is logarithmic. Where the axis is not the time of a run, `x` has its `words`, `tick`, `splits`
// and a `key`, which charts with the same axis share. `draw` takes the times and the series.
export function chart(options) {
  const holder = html("div", { class: "plot", tabindex: 0, role: "img" });
  const caption = html(
    "figcaption",
    {},
    html("strong", {}, options.title),
    html("span", { class: "note" }, options.unit),
  );
  const figure = html("figure", { class: "chart" }, caption, holder);
  let plot = null;
  let last = null;

  const build = () => {
    plot?.destroy();
    plot = null;
    holder.replaceChildren();
    if (last === null || !holder.isConnected || holder.clientWidth === 0) return;
    const { times, series } = last;
    const drawn = series.filter((of) =>
      of.values.some((value) => value !== null && value !== undefined),
    );
    holder.setAttribute(
      "aria-label",
      `${options.title}, ${options.unit}: ${drawn.length} series${options.x ? "" : ` over ${clock(times.at(-1) ?? 0)}`}. Arrow keys move the cursor.`,
    );
    figure.classList.toggle("empty", drawn.length === 0);
    if (drawn.length === 0) {
      holder.append(
        html("p", { class: "absent" }, last.nothing ?? "There is nothing of it in this run."),
      );
      return;
    }
    const tip = tooltip(options);
    const log = options.log?.() ?? false;
    plot = new uPlot(
      {
        width: holder.clientWidth,
        height: HEIGHT,
        // The last time of the axis has room for half of its name, as above in the lanes.
        padding: [8, 20, 0, 0],
        legend: { show: false },
        cursor: {
          sync: { key: options.x?.key ?? "time", setSeries: false },
          drag: { x: true, y: false },
          points: { size: 6, width: 0 },
          focus: { prox: -1 },
        },
        scales: {
          x: { time: false, range: () => options.span() },
          y: {
            distr: log ? 3 : 1,
            range: (_, low, high) =>
              log
                ? [below(Math.max(low, 1e-3) / 1.3), Math.max(high, 1e-2) * 1.3]
                : [0, (high > 0 ? high : 1) * 1.08],
          },
        },
        axes: axes(options, log),
        series: [
          {},
          ...drawn.map((of) => ({
            label: of.name,
            stroke: of.colour,
            own: of.colour,
            width: of.strong ? 2.5 : 1.5,
            dash: of.dash,
            show: of.shown !== false,
            spanGaps: options.x !== undefined,
            points: { show: (_, at, from, to) => to - from < 12, size: 4, fill: of.colour },
          })),
        ],
        hooks: {
          init: [tip.init],
          setCursor: [tip.update],
          setScale: [
            (self, key) => key === "x" && options.zoomed?.(self.scales.x.min, self.scales.x.max),
          ],
          drawClear: [backdrop(options.windows)],
        },
      },
      [
        times,
        ...drawn.map((of) =>
          log ? of.values.map((value) => (value > 0 ? value : null)) : of.values,
        ),
      ],
      holder,
    );
    holder.plot = plot;
  };

  holder.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined || plot === null) return;
    event.preventDefault();
    const size = plot.data[0].length;
    const at = Math.min(size - 1, Math.max(0, (plot.cursor.idx ?? (step > 0 ? -1 : size)) + step));
    plot.setCursor({ left: plot.valToPos(plot.data[0][at], "x"), top: HEIGHT / 3 });
  });
  holder.addEventListener("blur", () => plot?.setCursor({ left: -10, top: -10 }));

  const self = {
    figure,
    draw: (times, series, nothing) => {
      last = { times, series, nothing };
      build();
    },
    build,
    title: (text) => (caption.firstChild.textContent = text),
    unit: (text) => (caption.lastChild.textContent = text),
  };
  charts.add(self);
  return self;
}

// Draws all charts anew, as after a change of the width.
export function redraw() {
  for (const of of charts) of.build();
}

// Forgets the charts of a page that goes away.
export function forgetCharts() {
  charts.clear();
}

let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  redraw();
});

export const typeWords = (type) => (type === "none" ? "normal" : words(type));
