// What the evidence says of each window.
import { absent, cell, html, name, numberCell, section, svg } from "./elements.mjs";
import {
  clock,
  milliseconds,
  percent,
  probability,
  seconds,
  short,
  signed,
  verdictOf,
  withoutFault,
  whole,
  words,
} from "./format.mjs";
import { badge } from "./glance.mjs";

const SHARES = new Set([
  "error_share",
  "own_error_share",
  "miss_share",
  "fewer_spans_share",
  "not_reached_share",
]);

function measured(value, row) {
  if (value === null) return "–";
  if (SHARES.has(row.measure)) return percent(value);
  return row.unit === "ms" ? milliseconds(value) : short(value);
}

// An effect with its interval on the scale from -1 to 1.
export function forest(effect, kind) {
  if (!effect) return html("span", { class: "note" }, "–");
  const x = (value) => 50 + 44 * Math.max(-1, Math.min(1, value));
  return html(
    "span",
    { class: "forest" },
    svg(
      "svg",
      { width: 90, height: 18, viewBox: "5 0 90 18", "aria-hidden": "true" },
      svg("line", { x1: 6, x2: 94, y1: 9, y2: 9, class: "scale" }),
      svg("line", { x1: 50, x2: 50, y1: 3, y2: 15, class: "zero" }),
      svg("line", {
        x1: x(effect.low),
        x2: x(effect.high),
        y1: 9,
        y2: 9,
        class: `interval ${kind}`,
      }),
      svg("line", {
        x1: x(effect.low),
        x2: x(effect.low),
        y1: 5,
        y2: 13,
        class: `interval ${kind}`,
      }),
      svg("line", {
        x1: x(effect.high),
        x2: x(effect.high),
        y1: 5,
        y2: 13,
        class: `interval ${kind}`,
      }),
      svg("circle", { cx: x(effect.value), cy: 9, r: 4, class: `point ${kind}` }),
    ),
    html(
      "span",
      { class: "number" },
      `${signed(effect.value)} (${signed(effect.low)} to ${signed(effect.high)})`,
    ),
  );
}

function signals(window) {
  if (window.signals.length === 0) return null;
  const of = window.root_cause_service ? `of ${window.root_cause_service}` : "of all services";
  return html(
    "div",
    { class: "scroll" },
    html(
      "table",
      { class: "small stacks" },
      html("caption", {}, `Signals ${of}: what each rests on`),
      html(
        "thead",
        {},
        html(
          "tr",
          {},
          [
            "signal",
            "of",
            "measured",
            "normal",
            "window",
            "ratio",
            "effect (95 % interval)",
            "p",
          ].map((head) => html("th", { scope: "col" }, head)),
        ),
      ),
      html(
        "tbody",
        {},
        window.signals.map((row) =>
          row.effect === null
            ? html(
                "tr",
                {},
                html("th", { scope: "row" }, row.signal),
                html("td", { colspan: 7, class: "note" }, row.not_tested ?? "not compared"),
              )
            : html(
                "tr",
                {},
                html("th", { scope: "row" }, row.signal),
                cell("of", row.subject),
                cell("measured", words(row.measure)),
                numberCell("normal", measured(row.before, row)),
                numberCell("window", measured(row.within, row)),
                html(
                  "td",
                  {
                    class: "number",
                    "data-head": "ratio",
                    title: row.ratio ? `${short(row.ratio.low)} to ${short(row.ratio.high)}` : null,
                  },
                  row.ratio ? `${short(row.ratio.value)} ×` : "–",
                ),
                cell(
                  "effect (95 % interval)",
                  forest(row.effect, row.size === "enough" ? "strong" : "slight"),
                ),
                numberCell("p", probability(row.p)),
              ),
        ),
      ),
    ),
  );
}

function ranking(window) {
  const known = window.services.filter((row) => row.effect);
  if (known.length === 0) return null;
  return html(
    "div",
    { class: "scroll" },
    html(
      "table",
      { class: "small stacks" },
      html("caption", {}, "Services by their own effect"),
      html(
        "thead",
        {},
        html(
          "tr",
          {},
          [
            "service",
            "place",
            "measured",
            "effect (95 % interval)",
            "q",
            "first effect",
            "affected",
          ].map((head) => html("th", { scope: "col" }, head)),
        ),
      ),
      html(
        "tbody",
        {},
        known
          .slice(0, 8)
          .map((row) =>
            html(
              "tr",
              {},
              html(
                "th",
                { scope: "row" },
                row.service,
                row.service === window.root_cause_service
                  ? html("span", { class: "tag root" }, "declared")
                  : null,
              ),
              numberCell("place", String(row.rank)),
              cell("measured", words(row.measure)),
              cell(
                "effect (95 % interval)",
                forest(row.effect, row.affected ? "strong" : "slight"),
              ),
              numberCell("q", probability(row.q)),
              numberCell("first effect", seconds(row.onset_s)),
              cell("affected", row.affected ? "yes" : "no"),
            ),
          ),
      ),
    ),
  );
}

function faultWords(fault) {
  const where = fault.service ? ` in ${fault.service}` : "";
  const strength =
    fault.intensity !== null && fault.intensity !== undefined
      ? `, intensity ${short(fault.intensity)}`
      : "";
  const when =
    fault.injected_s === null
      ? ""
      : `, ${clock(fault.injected_s)} to ${fault.cleared_s === null ? "the end" : clock(fault.cleared_s)}`;
  return `${words(fault.name)}${where}${strength}${when}`;
}

function details(window) {
  return html(
    "div",
    { class: "detail" },
    window.msg && html("p", {}, window.msg),
    window.reasons.length > 0 &&
      html(
        "ul",
        {},
        window.reasons.map((reason) => html("li", {}, name(reason))),
      ),
    window.spans !== null &&
      html(
        "p",
        { class: "note" },
        `In it: ${whole(window.traces)} traces by their moment, with ${whole(window.spans)} spans, ${whole(window.steady_spans)} of these steady. Its scenario sent ${whole(window.requests)} requests.`,
      ),
    window.faults.map((fault) =>
      html(
        "p",
        { class: "note" },
        `Fault: ${faultWords(fault)}${withoutFault(fault)}. State: ${words(window.fault_state)}.`,
      ),
    ),
    signals(window),
    ranking(window),
  );
}

const COLUMNS = [
  ["window", ""],
  ["verdict", ""],
  ["effect (95 % interval)", "from −1 to 1; above 0: worse than normal time"],
  ["signal", "which signal the verdict rests on"],
  ["fault", "as it was confirmed"],
  ["first effect", "seconds after the confirmation of the fault (onset_s)"],
  [
    "last effect",
    "seconds after the clearing of the fault (recovery_s); the phase recovery ends when traces are as in normal time again (recovered_ns)",
  ],
  ["place", "of the declared service among all by its own effect; = where tied"],
  ["requests", ""],
  [
    "traces met",
    "of the traces while the window's condition held those that met the declared service; – where none is declared",
  ],
];
const NUMBERS = new Set([
  "first effect",
  "last effect",
  "place",
  "requests",
  "traces met",
]);

export function verdicts(run) {
  const part = section("verdicts", "Verdicts");
  if (run.windows.length === 0) {
    part.append(absent("There are no windows: the dataset was made without a timeline."));
    return part;
  }
  const bodies = run.windows.map((window) => {
    const of = verdictOf(window);
    const more = html(
      "tr",
      { class: "more", id: `window-${window.number}`, hidden: true },
      html("td", { colspan: COLUMNS.length }, ""),
    );
    const button = html(
      "button",
      {
        type: "button",
        class: "link",
        "aria-expanded": "false",
        "aria-controls": `window-${window.number}`,
        onclick: () => toggle(more.hidden),
      },
      html("span", { class: "twist", "aria-hidden": "true" }, "▸"),
      `${window.number}  ${window.name}`,
    );
    const toggle = (open) => {
      more.hidden = !open;
      button.setAttribute("aria-expanded", open);
      if (open && more.firstChild.childElementCount === 0) more.firstChild.append(details(window));
    };
    more.open = toggle;
    const fault = window.faults[0];
    return html(
      "tbody",
      {},
      html(
        "tr",
        {},
        html("th", { scope: "row" }, button),
        cell(
          "verdict",
          window.warm_up ? html("span", { class: "note" }, "warm-up") : badge(of),
        ),
        cell("effect (95 % interval)", window.effect ? forest(window.effect, of.kind) : "–"),
        cell("signal", window.effect_signal ?? "–"),
        html(
          "td",
          { title: fault ? faultWords(fault) : null, "data-head": "fault" },
          fault
            ? `${words(fault.name)}${fault.service ? ` in ${fault.service}` : ""}${["confirmed", ""].includes(window.fault_state) ? "" : ` (${words(window.fault_state)})`}`
            : words(window.fault_state === "none" ? "–" : window.fault_state),
        ),
        numberCell("first effect", seconds(window.onset_s)),
        numberCell("last effect", seconds(window.recovery_s)),
        numberCell(
          "place",
          window.rank === null ? "–" : `${window.rank}${window.rank_tied ? "=" : ""}`,
        ),
        numberCell("requests", whole(window.requests)),
        numberCell("traces met", whole(window.traces_met)),
      ),
      more,
    );
  });
  const rows = () => [...part.querySelectorAll("tr.more")];
  const all = html(
    "button",
    {
      type: "button",
      class: "plain",
      onclick: () => {
        const open = rows().some((row) => row.hidden);
        rows().forEach((row) => row.open(open));
      },
    },
    "Open or close all",
  );
  addEventListener("beforeprint", () => rows().forEach((row) => row.open(true)));
  part.append(
    html(
      "p",
      { class: "note" },
      "Each window's steady time against the steady normal time of the same run. Whether a fault was confirmed does not go into a verdict. Effects are Cliff's δ, or differences of shares.",
    ),
    html(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Verdicts" },
      html(
        "table",
        { class: "verdicts stacks" },
        html(
          "thead",
          {},
          html(
            "tr",
            {},
            COLUMNS.map(([head, title]) =>
              html(
                "th",
                { scope: "col", title: title || null, class: NUMBERS.has(head) ? "number" : null },
                head,
              ),
            ),
          ),
        ),
        bodies,
      ),
    ),
    all,
  );
  return part;
}
