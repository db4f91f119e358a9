// The services of a window and the calls between them, with the root cause and how the fault spread.
/* global dagre */
import { absent, html, svg, table } from "./elements.mjs";
import { milliseconds, percent, seconds, short, words } from "./format.mjs";

const CHARACTER = 7.1;
const KINDS = { service: "", database: "database", broker: "broker", external: "outside" };

// The episode of a window in causal_graph.json.
export function episodeOf(run, number) {
  const episodes = run.graphs?.causal?.episodes ?? [];
  return episodes.find((episode) => episode.window === number) ?? null;
}

const between = (caller, callee) => `${caller}\u0000${callee}`;

// Calls along which a shift can have travelled, from the callee to its caller, with their order.
function travelled(episode) {
  return new Map((episode?.edges ?? []).map((edge) => [between(edge.to, edge.from), edge.order]));
}

// When a service shifted, with the interval where that is known.
function onsetOf(node, episode) {
  const own = (episode?.services ?? []).find((of) => of.service === node.name);
  return own ?? (node.onset_s === null ? null : { onset_s: node.onset_s });
}

// Calls of several kinds from one service to another are one line.
function joined(edges) {
  const pairs = new Map();
  for (const edge of edges) {
    const key = between(edge.caller, edge.callee);
    const of = pairs.get(key) ?? {
      caller: edge.caller,
      callee: edge.callee,
      kinds: [],
      count: 0,
      errors: 0,
    };
    of.kinds.push(edge);
    of.count += edge.figures?.count ?? 0;
    of.errors += edge.figures?.errors ?? 0;
    pairs.set(key, of);
  }
  return [...pairs.values()];
}

function nodeLines(node, onset) {
  const lines = [];
  const figures = node.figures;
  if (figures && figures.count > 0) {
    lines.push(
      [
        node.rate_per_s !== null ? `${short(node.rate_per_s)} /s` : `${figures.count} calls`,
        figures.p95 !== null ? `p95 ${milliseconds(figures.p95)}` : "",
      ]
        .filter(Boolean)
        .join(" · "),
    );
    if (figures.errors > 0) lines.push(`${percent(figures.errors / figures.count)} errors`);
  }
  if (onset && onset.onset_s !== null && onset.onset_s !== undefined)
    lines.push(`shifted after ${seconds(onset.onset_s)}`);
  else if (node.affected) lines.push("shifted");
  return lines;
}

// Nodes are those of the run: where nothing came to one in a window it is not drawn.
function isMet(node, graph) {
  return (
    node.root_cause ||
    node.figures === null ||
    node.figures.count > 0 ||
    graph.edges.some((edge) => edge.caller === node.name || edge.callee === node.name)
  );
}

function layout(graph, episode, narrow) {
  const of = new dagre.graphlib.Graph();
  of.setGraph({
    rankdir: narrow ? "TB" : "LR",
    nodesep: narrow ? 16 : 22,
    ranksep: narrow ? 42 : 64,
    marginx: 8,
    marginy: 8,
  });
  of.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes.filter((node) => isMet(node, graph))) {
    const lines = nodeLines(node, onsetOf(node, episode));
    const longest = Math.max(
      node.name.length + (node.root_cause ? 1 : 0),
      ...lines.map((line) => line.length * 0.88),
      KINDS[node.kind]?.length ?? 0,
    );
    of.setNode(node.name, {
      width: Math.max(84, longest * CHARACTER + 22),
      height: 26 + 15 * lines.length + (KINDS[node.kind] ? 13 : 0),
      node,
      lines,
    });
  }
  for (const edge of joined(graph.edges)) {
    if (of.hasNode(edge.caller) && of.hasNode(edge.callee) && edge.caller !== edge.callee)
      of.setEdge(edge.caller, edge.callee, { edge });
  }
  dagre.layout(of);
  return of;
}

// Makes rows of what calls the same, so that none is wider than the screen, and leads the lines
// from row to row.
function inRows(of, room) {
  const ranks = new Map();
  for (const key of of.nodes()) {
    const node = of.node(key);
    ranks.set(node.y, [...(ranks.get(node.y) ?? []), node]);
  }
  let top = 0;
  for (const [, rank] of [...ranks].sort(([a], [b]) => a - b)) {
    for (const row of rowsOf(rank, room)) {
      const height = Math.max(...row.map((node) => node.height));
      let x = (room - widthOf(row)) / 2;
      for (const node of row) {
        Object.assign(node, { x: x + node.width / 2, y: top + height / 2 });
        x += node.width + GAP;
      }
      top += height + 2 * GAP;
    }
    top += GAP;
  }
  for (const key of of.edges()) {
    of.edge(key).points = fromTo(of.node(key.v), of.node(key.w));
  }
}

const GAP = 16;
const widthOf = (row) => row.reduce((sum, node) => sum + node.width + GAP, -GAP);

// As few rows as there is room for, about as long as each other.
function rowsOf(rank, room) {
  const nodes = [...rank].sort((a, b) => a.x - b.x);
  const rows = [[]];
  const share = widthOf(nodes) / Math.ceil(widthOf(nodes) / room);
  for (const node of nodes) {
    const row = rows.at(-1);
    const isFull = widthOf(row) >= share || widthOf([...row, node]) > room;
    if (row.length > 0 && isFull) rows.push([node]);
    else row.push(node);
  }
  return rows;
}

// The way of a line that leaves one box below and enters another above, or the other way round.
function fromTo(caller, callee) {
  const side = callee.y >= caller.y ? 1 : -1;
  const start = { x: caller.x, y: caller.y + (side * caller.height) / 2 };
  const end = { x: callee.x, y: callee.y - (side * callee.height) / 2 };
  const middle = (start.y + end.y) / 2;
  return [start, { x: start.x, y: middle }, { x: end.x, y: middle }, end];
}

// A path through points with rounded corners.
function path(points) {
  const [first, ...rest] = points;
  let text = `M${first.x.toFixed(1)},${first.y.toFixed(1)}`;
  for (let at = 0; at < rest.length - 1; at += 1) {
    const middle = { x: (rest[at].x + rest[at + 1].x) / 2, y: (rest[at].y + rest[at + 1].y) / 2 };
    text += ` Q${rest[at].x.toFixed(1)},${rest[at].y.toFixed(1)} ${middle.x.toFixed(1)},${middle.y.toFixed(1)}`;
  }
  const last = rest.at(-1);
  return `${text} L${last.x.toFixed(1)},${last.y.toFixed(1)}`;
}

const ORDERS = {
  callee_first: "the callee shifted first",
  overlap: "which of the two shifted first can't be told",
  unknown: "when they shifted is not known",
};

function edgeTitle(edge, order) {
  const parts = [`${edge.caller} calls ${edge.callee}`];
  for (const { kind, figures } of edge.kinds) {
    if (figures)
      parts.push(
        `${kind}: ${figures.count} calls, p50 ${milliseconds(figures.p50)}, p95 ${milliseconds(figures.p95)}, ${figures.errors} errors`,
      );
  }
  if (order)
    parts.push(
      `a shift can have travelled from ${edge.callee} to ${edge.caller}: ${ORDERS[order] ?? order}`,
    );
  return parts.join("; ");
}

// All that is drawn: lines can reach beyond what the layout takes for its size.
function extent(of) {
  const points = of.edges().flatMap((key) => of.edge(key).points);
  for (const key of of.nodes()) {
    const { x, y, width, height } = of.node(key);
    points.push({ x: x - width / 2, y: y - height / 2 }, { x: x + width / 2, y: y + height / 2 });
  }
  const range = (axis) => [
    Math.min(...points.map((point) => point[axis])) - 6,
    Math.max(...points.map((point) => point[axis])) + 6,
  ];
  const [left, right] = range("x");
  const [top, bottom] = range("y");
  return { left, top, width: Math.ceil(right - left), height: Math.ceil(bottom - top) };
}

// The smallest scale at which names can still be read.
const LEAST_SCALE = 0.75;

function draw(graph, episode, narrow, name) {
  const room = Math.min(innerWidth, 1240) - (narrow ? 24 : 40);
  // From left to right where there is room for that, else from above.
  let of = layout(graph, episode, narrow);
  if (!narrow && extent(of).width * LEAST_SCALE > room) of = layout(graph, episode, true);
  if (extent(of).width * LEAST_SCALE > room) inRows(of, room);
  const { left, top: above, width, height } = extent(of);
  // Where there is no room even for one box, it scrolls.
  const scale = Math.max(LEAST_SCALE, Math.min(1, room / width));
  const paths = travelled(episode);
  const most = Math.max(1, ...of.edges().map((key) => of.edge(key).edge.count));
  const marker = (id, kind) =>
    svg(
      "marker",
      {
        id,
        viewBox: "0 0 8 8",
        refX: 7,
        refY: 4,
        markerWidth: 7,
        markerHeight: 7,
        orient: "auto-start-reverse",
        markerUnits: "userSpaceOnUse",
      },
      svg("path", { d: "M0,0 L8,4 L0,8 z", class: `head ${kind}` }),
    );
  const edges = of.edges().map((key) => {
    const { edge, points } = of.edge(key);
    const order = paths.get(between(edge.caller, edge.callee));
    const isFailing = edge.count > 0 && edge.errors / edge.count >= 0.05;
    const kind = order ? "travelled" : isFailing ? "failing" : "plain";
    const strength = 1 + 2.5 * Math.sqrt(edge.count / most);
    return svg(
      "g",
      {},
      svg("title", {}, edgeTitle(edge, order)),
      svg("path", {
        d: path(points),
        class: `edge ${kind}`,
        "stroke-width": strength.toFixed(2),
        "marker-end": `url(#head-${kind})`,
      }),
      order && svg("path", { d: path(points), class: `flow ${order}`, "stroke-width": 1.8 }),
    );
  });
  const nodes = of.nodes().map((key) => {
    const { x, y, width: w, height: h, node, lines } = of.node(key);
    const kind = KINDS[node.kind];
    const top = y - h / 2 + 17;
    return svg(
      "g",
      {
        class: `node ${node.kind}${node.root_cause ? " root" : ""}${node.affected ? " affected" : ""}`,
      },
      svg(
        "title",
        {},
        [
          node.name,
          kind,
          node.root_cause ? "the fault is in it" : "",
          node.affected ? "its rows shifted" : "",
          ...lines,
        ]
          .filter(Boolean)
          .join(", "),
      ),
      svg("rect", {
        x: x - w / 2,
        y: y - h / 2,
        width: w,
        height: h,
        rx: node.kind === "service" ? 7 : 2,
      }),
      node.root_cause &&
        svg("rect", {
          x: x - w / 2 + 3,
          y: y - h / 2 + 3,
          width: w - 6,
          height: h - 6,
          rx: 4,
          class: "inner",
        }),
      svg("text", { x, y: top, class: "name" }, node.name),
      kind && svg("text", { x, y: top + 13, class: "kind" }, kind),
      lines.map((line, at) =>
        svg("text", { x, y: top + (kind ? 13 : 0) + 15 * (at + 1), class: "line" }, line),
      ),
    );
  });
  return svg(
    "svg",
    {
      viewBox: `${left.toFixed(1)} ${above.toFixed(1)} ${width} ${height}`,
      width: Math.floor(width * scale),
      height: Math.floor(height * scale),
      role: "img",
      "aria-label": `Services and calls in ${name}; the tables below have the same in words`,
    },
    svg(
      "defs",
      {},
      marker("head-plain", "plain"),
      marker("head-travelled", "travelled"),
      marker("head-failing", "failing"),
    ),
    edges,
    nodes,
  );
}

function range(of) {
  const ends = of?.onset_interval_s;
  return ends ? `${seconds(ends[0])} to ${seconds(ends[1])}` : "–";
}

function tables(graph, episode, window) {
  const nodes = [...graph.nodes].sort(
    (a, b) =>
      (onsetOf(a, episode)?.onset_s ?? 1e9) - (onsetOf(b, episode)?.onset_s ?? 1e9) ||
      (a.name < b.name ? -1 : 1),
  );
  const figure = (row, of) => (row.figures ? of(row.figures) : "–");
  return html(
    "details",
    {},
    html("summary", {}, "The same as tables"),
    table(
      `Services in ${window.name}, in steady time`,
      [
        {
          head: "service",
          cell: (row) =>
            html(
              "span",
              {},
              row.name,
              row.root_cause && html("span", { class: "tag root" }, "root cause"),
            ),
        },
        { head: "kind", cell: (row) => words(row.kind) },
        { head: "calls", number: true, cell: (row) => figure(row, (f) => String(f.count)) },
        {
          head: "errors",
          number: true,
          cell: (row) => figure(row, (f) => percent(f.count ? f.errors / f.count : null)),
        },
        { head: "p50", number: true, cell: (row) => figure(row, (f) => milliseconds(f.p50)) },
        { head: "p95", number: true, cell: (row) => figure(row, (f) => milliseconds(f.p95)) },
        { head: "p99", number: true, cell: (row) => figure(row, (f) => milliseconds(f.p99)) },
        {
          head: "shifted",
          cell: (row) => (row.affected === null ? "–" : row.affected ? "yes" : "no"),
        },
        { head: "onset", number: true, cell: (row) => seconds(onsetOf(row, episode)?.onset_s) },
        { head: "95 % interval", number: true, cell: (row) => range(onsetOf(row, episode)) },
      ],
      nodes,
    ),
    table(
      `Calls in ${window.name}, in steady time`,
      [
        { head: "caller", cell: (row) => row.caller },
        { head: "callee", cell: (row) => row.callee },
        { head: "kind", cell: (row) => words(row.kind) },
        { head: "calls", number: true, cell: (row) => figure(row, (f) => String(f.count)) },
        {
          head: "errors",
          number: true,
          cell: (row) => figure(row, (f) => percent(f.count ? f.errors / f.count : null)),
        },
        { head: "p50", number: true, cell: (row) => figure(row, (f) => milliseconds(f.p50)) },
        { head: "p95", number: true, cell: (row) => figure(row, (f) => milliseconds(f.p95)) },
        { head: "p99", number: true, cell: (row) => figure(row, (f) => milliseconds(f.p99)) },
      ],
      graph.edges,
    ),
  );
}

// The graph of a window, with what says how the fault spread.
export function graphOf(run, window) {
  const graph = run.graphs?.windows[window.number];
  if (!graph || !graph.nodes.some((node) => isMet(node, graph))) {
    return html(
      "div",
      {},
      absent(
        run.graphs
          ? "Nothing is known of who called whom in this window."
          : "There is no dataset, so nothing is known of who called whom.",
      ),
    );
  }
  const episode = episodeOf(run, window.number);
  const holder = html("div", {
    class: "graph scroll",
    tabindex: 0,
    role: "region",
    "aria-label": "Service graph",
  });
  holder.append(draw(graph, episode, innerWidth < 700, window.name));
  const wider = html(
    "p",
    { class: "note", hidden: true },
    "The graph is wider than the screen: move it sideways to see all of it.",
  );
  // Where not all of it can be seen at once, that is said, and it begins with the root cause.
  requestAnimationFrame(() => {
    if (holder.scrollWidth <= holder.clientWidth) return;
    wider.hidden = false;
    const root = holder.querySelector(".node.root rect");
    if (!root) return;
    const [at, around] = [root.getBoundingClientRect(), holder.getBoundingClientRect()];
    holder.scrollLeft = at.left + at.width / 2 - around.left - around.width / 2;
  });
  return html(
    "div",
    {},
    html(
      "div",
      { class: "legend" },
      html("span", {}, html("span", { class: "key box root" }), "the fault is in it"),
      html("span", {}, html("span", { class: "key box affected" }), "its rows shifted"),
      html("span", {}, html("span", { class: "key line" }), "calls, wider: more"),
      episode &&
        html(
          "span",
          {},
          html("span", { class: "key line travelled" }),
          "a shift can have travelled back along it",
        ),
    ),
    holder,
    wider,
    run.graphs.source === "evidence" &&
      html(
        "p",
        { class: "note" },
        "The tables graph_edges and graph_nodes are not there: the graph is that of the evidence, without figures of calls.",
      ),
    episode &&
      episode.ranked_root_causes.length > 0 &&
      html(
        "p",
        { class: "note" },
        `By the strength of what they show of their own: ${episode.ranked_root_causes.join(", ")}.`,
      ),
    tables(graph, episode, window),
  );
}
