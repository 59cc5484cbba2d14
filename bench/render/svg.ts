/** What all plots share. */

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ['"', "&quot;"],
]);

/** Text as it may stand in XML and HTML, between tags and in quoted attributes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES.get(character)!);
}

/** The width of a character of a plot's text, about. */
const CHARACTER = 6.8;

/** A label, cut where there is no room for it: URLs can be long. */
export function shortened(label: string, room: number): string {
  const most = Math.floor(room / CHARACTER);
  return label.length > most ? `${label.slice(0, most - 1)}…` : label;
}

/** How text, axes and curves of plots look: dark on light. */
export const PLOT_STYLE = "text{font:13px system-ui,sans-serif;fill:#24292f}.b{font-weight:600}" +
  ".s{font-size:11px;fill:#57606a}.axis{stroke:#d0d7de}.curve{fill:none;stroke-width:1.8}";

/** Of floors. */
export const GREY = "#9aa0a6";

/** Colours of subjects, told apart also by those who see colours differently (Paul Tol's "bright" and two dark ones). */
export const COLOURS: readonly string[] = [
  "#4477aa",
  "#cc3311",
  "#228833",
  "#aa3377",
  "#66ccee",
  "#ccbb44",
  "#222255",
  "#663333",
];

/** A plot as a file of its own, which names the namespace that a page's plots have anyway. */
export function asFile(svg: string): string {
  return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ');
}
