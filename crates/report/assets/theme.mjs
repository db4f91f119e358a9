// Colours: of services, and of what charts are drawn with. Dark and light, as the system says or as
// chosen. A hue stands for a service and for nothing else: windows and faults have shades of grey and
// their names, so that no colour has two meanings.
import { html } from "./elements.mjs";

// Told apart with every kind of colour vision, by lightness as well: after Okabe and Ito, and Tol.
const SERVICES = {
  light: [
    "#0072b2",
    "#d55e00",
    "#008a63",
    "#aa3377",
    "#c98500",
    "#3aa0d8",
    "#4b2e9b",
    "#7a7a1c",
    "#882255",
  ],
  dark: [
    "#56a8e8",
    "#f08a4b",
    "#2ec79d",
    "#e58fc0",
    "#f0b429",
    "#9bd7f7",
    "#a796f5",
    "#cbc963",
    "#d4708f",
  ],
};

// The tenth service has the first colour again, dashed.
const DASHES = [[], [6, 3], [2, 2], [9, 3, 2, 3]];

const listeners = new Set();
const system = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
let printing = false;

export function isDark() {
  if (printing) return false;
  return chosen === null ? system.matches : chosen === "dark";
}

export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function apply() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  for (const listener of [...listeners]) listener();
}

export function startTheme() {
  system.addEventListener("change", apply);
  addEventListener("beforeprint", () => {
    printing = true;
    apply();
  });
  addEventListener("afterprint", () => {
    printing = false;
    apply();
  });
  apply();
}

export function themeSwitch() {
  const button = html("button", {
    type: "button",
    class: "theme",
    onclick: () => {
      chosen = isDark() ? "light" : "dark";
      apply();
      name();
    },
  });
  const name = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  };
  onTheme(name);
  name();
  return button;
}

// A colour of the page's own style.
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Colours of services, by their place in a list that all parts of the page share.
export function palette(names) {
  const of = (name) => {
    const at = names.indexOf(name);
    return at < 0 ? names.length : at;
  };
  const list = () => SERVICES[isDark() ? "dark" : "light"];
  return {
    names,
    // Names that come later get the next colours.
    add: (more) => names.push(...more.filter((name) => !names.includes(name))),
    colour: (name) => list()[of(name) % list().length],
    dash: (name) => DASHES[Math.floor(of(name) / list().length) % DASHES.length],
  };
}

// Colours of the two sides of a comparison.
export function sideColour(isB) {
  return SERVICES[isDark() ? "dark" : "light"][isB ? 1 : 0];
}

// A colour with less than full strength.
export function faint(hex, strength) {
  const part = (at) => parseInt(hex.slice(at, at + 2), 16);
  return `rgba(${part(1)}, ${part(3)}, ${part(5)}, ${strength})`;
}
