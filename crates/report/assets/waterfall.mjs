// A trace as a waterfall: a row a span, below its parent.
import { absent, html } from "./elements.mjs";
import { milliseconds, whole, words } from "./format.mjs";
import { onTheme } from "./theme.mjs";

const KINDS = ["", "internal", "server", "client", "producer", "consumer"];

function row(span, scale, services) {
  const bar = html("span", { class: "span-bar" });
  const paint = () => (bar.style.background = services.colour(span.service));
  onTheme(paint);
  paint();
  const left = Math.max(0, Math.min(100, (100 * span.start_ms) / scale));
  const width = Math.min(100 - left, (100 * Math.max(0, span.duration_ms)) / scale);
  bar.style.left = `${left}%`;
  bar.style.width = `max(2px, ${width}%)`;
  const time = html("span", { class: "span-time" }, milliseconds(span.duration_ms));
  if (left + width > 78) Object.assign(time.style, { right: `calc(${100 - left}% + 5px)` });
  else Object.assign(time.style, { left: `calc(${left + width}% + 5px)` });
  // Next to a bar that fills the row there is no room on either side.
  if (left < 14 && left + width > 78)
    Object.assign(time.style, { right: "auto", left: `calc(${left}% + 5px)` });
  const inside = left < 14 && left + width > 78;
  if (inside) time.classList.add("inside");
  const marks = [];
  for (const mark of (span.anomaly ?? "").split("+").filter(Boolean))
    marks.push(html("span", { class: `tag ${mark}` }, mark));
  if (span.root_cause) marks.push(html("span", { class: "tag root" }, "root cause"));
  if (span.error)
    marks.push(
      html(
        "span",
        { class: "tag error", title: span.status_code ? `HTTP ${span.status_code}` : null },
        span.status_code ? `error ${span.status_code}` : "error",
      ),
    );
  const title = [
    `${span.service}: ${span.name}`,
    KINDS[span.kind],
    `starts after ${milliseconds(span.start_ms)}`,
    `takes ${milliseconds(span.duration_ms)}`,
  ]
    .filter(Boolean)
    .join(", ");
  const name = html(
    "span",
    { class: "span-name", title },
    html("b", {}, span.service),
    " ",
    span.name,
  );
  name.style.paddingLeft = `${Math.min(span.depth, 12) * 12}px`;
  return html(
    "li",
    { class: span.anomaly || span.root_cause ? "span marked" : "span" },
    html("span", { class: "span-head" }, name, marks),
    html("span", { class: "span-track" }, bar, time),
  );
}

function fall(title, trace, scale, services) {
  const more = trace.span_count - trace.spans.length;
  return html(
    "div",
    { class: "waterfall" },
    html(
      "h4",
      {},
      title,
      html(
        "span",
        { class: "note" },
        ` ${milliseconds(trace.duration_ms)}, ${whole(trace.span_count)} spans, trace `,
        html("code", {}, trace.trace_id),
      ),
    ),
    html(
      "ol",
      { class: "spans" },
      trace.spans.map((span) => row(span, scale, services)),
    ),
    more > 0 && html("p", { class: "note" }, `${whole(more)} more spans are not shown.`),
  );
}

// The typical trace of a window, above one of the same kind in normal time, on one scale.
export function waterfallOf(run, window, services) {
  const of = run.traces?.windows[window.number];
  if (!of) {
    return html(
      "div",
      {},
      absent(
        run.traces
          ? "No trace of this window's steady time is in the dataset."
          : "There is no dataset whose traces could be read: what is missing is told at the top.",
      ),
    );
  }
  const scale = Math.max(of.within.duration_ms, of.normal?.duration_ms ?? 0, 0.001);
  return html(
    "div",
    {},
    html(
      "p",
      { class: "note" },
      "The trace of median duration among ",
      whole(of.of),
      " of ",
      html("b", {}, of.root_service),
      " ",
      html("code", {}, of.root_name),
      of.touches_root_cause
        ? ", the most frequent kind of request that touches the declared service"
        : ", the most frequent kind of request",
      " in the window's steady time.",
      run.traces.marked
        ? " Marks say how a span differs from its operation's normal."
        : " This dataset does not say which spans are anomalous (no column span_anomaly).",
    ),
    fall(`In ${window.name}`, of.within, scale, services),
    of.normal && fall("The same kind of request in normal time", of.normal, scale, services),
  );
}
