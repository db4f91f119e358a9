// Makes elements. Text from a run goes into the page through here and as text alone: nothing in the
// page is ever made of markup.

const SVG = "http://www.w3.org/2000/svg";

function add(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || (value === false && !name.startsWith("aria-")))
      continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "props") Object.assign(element, value);
    else
      element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : String(value));
  }
  element.append(
    ...children
      .flat(Infinity)
      .filter((child) => child !== undefined && child !== null && child !== false),
  );
  return element;
}

// An element of HTML: its children are elements, or texts.
export function html(tag, attributes, ...children) {
  return add(document.createElement(tag), attributes, children);
}

// The same of a drawing.
export function svg(tag, attributes, ...children) {
  return add(document.createElementNS(SVG, tag), attributes, children);
}

// A select with a label. Options are pairs of value and text.
export function choice(label, options, value, onchange) {
  const select = html("select", { onchange: () => onchange(select.value) });
  for (const [key, text] of options) select.append(html("option", { value: key }, text));
  select.value = value;
  return html("label", { class: "choice" }, html("span", {}, label), select);
}

// Buttons of which one is pressed.
export function choices(label, options, value, onchange) {
  const group = html("div", { class: "choices", role: "group", "aria-label": label });
  for (const [key, text] of options) {
    const button = html(
      "button",
      {
        type: "button",
        "aria-pressed": key === value,
        onclick: () => {
          for (const other of group.children) other.setAttribute("aria-pressed", other === button);
          onchange(key);
        },
      },
      text,
    );
    group.append(button);
  }
  return group;
}

// A cell with the head of its column: on a narrow screen each row is a list of these.
export function cell(head, ...content) {
  return html("td", { "data-head": head, class: isNothing(content) ? "nothing" : null }, content);
}

// The same of a number.
export function numberCell(head, ...content) {
  const kind = isNothing(content) ? "number nothing" : "number";
  return html("td", { "data-head": head, class: kind }, content);
}

// A dash stands for what is not there. In a list it is left out.
const isNothing = (content) => content.length === 1 && content[0] === "–";

// A name that may be broken after these characters alone, where it has to be broken.
export function name(text) {
  const parts = String(text).split(/(?<=[_/.:-])/);
  return parts.flatMap((part, at) => (at === 0 ? [part] : [html("wbr"), part]));
}

// A table: columns are {head, cell, number, title}, rows are whatever `cell` takes.
export function table(caption, columns, rows, rowAttributes) {
  const head = columns.map((column) =>
    html(
      "th",
      { scope: "col", class: column.number ? "number" : null, title: column.title },
      column.head,
    ),
  );
  const body = rows.map((row) =>
    html(
      "tr",
      rowAttributes?.(row),
      columns.map(({ head, number, cell: of }, at) =>
        at === 0
          ? html("th", { scope: "row", class: number ? "number" : null }, of(row))
          : (number ? numberCell : cell)(head, of(row)),
      ),
    ),
  );
  return html(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    html(
      "table",
      { class: columns.length > 3 ? "stacks" : null },
      html("caption", {}, caption),
      html("thead", {}, html("tr", {}, head)),
      html("tbody", {}, body),
    ),
  );
}

export function section(id, title, ...children) {
  return html(
    "section",
    { id, "aria-labelledby": `${id}-title` },
    html("h2", { id: `${id}-title` }, title),
    children,
  );
}

// What says that something is not there.
export function absent(...words) {
  return html("p", { class: "absent" }, words);
}
