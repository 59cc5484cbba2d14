/** A plot of curves, as SVG that stands in a page. */
import { escaped, PLOT_STYLE, shortened } from "./svg.ts";

export interface Curve {
  readonly name: string;
  readonly colour: string;
  /** Floors are dashed. */
  readonly dashed?: boolean;
  /** By ascending x. */
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface LinePlot {
  /** With the unit of the values. */
  readonly title: string;
  readonly curves: readonly Curve[];
  /** The values of x that carry a text, which span the plot. */
  readonly xTicks: readonly { readonly x: number; readonly text: string }[];
  /** What x is, with its unit. */
  readonly xName?: string;
  /** For values of many magnitudes; those that are not above 0 are left out. */
  readonly logarithmic?: boolean;
  /** Mark each point, with its value as a tooltip; for curves of few points. */
  readonly marked?: boolean;
  readonly width?: number;
  readonly height?: number;
}

const MARGIN = { left: 64, right: 24, top: 26, bottom: 24 };
/** The heights of a line with the name of x, and of a line of the legend. */
const NAME = 16, LEGEND = 18;

/** A round number not below `value`. */
function ceiling(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, Number.MIN_VALUE)));
  return [1, 2, 5, 10].map((factor) => factor * unit).find((limit) => limit >= value)!;
}

/** Without the noise of binary fractions. */
const figure = (value: number) =>
  Number(value.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 6 });

/** Where a value lies between bottom (0) and top (1), and the values that carry a text. */
interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

const highest = (values: readonly number[]) => values.reduce((most, value) => Math.max(most, value), 0);

function linear(values: readonly number[]): Scale {
  const top = ceiling(highest(values) || 1);
  return { at: (value) => value / top, ticks: [0, 0.25, 0.5, 0.75, 1].map((share) => share * top) };
}

/** From the last of 1, 2, 5, 10 … below all values to the first above them. */
function logarithms(values: readonly number[]): Scale {
  const above = values.length === 0 ? [1] : values;
  const least = above.reduce((low, value) => Math.min(low, value));
  const decade = 10 ** Math.floor(Math.log10(least));
  const low = [5, 2].map((factor) => factor * decade).find((tick) => tick <= least) ?? decade;
  const high = Math.max(ceiling(highest(above)), low * 2);
  const decades = Array.from(
    { length: Math.ceil(Math.log10(high / decade)) + 1 },
    (_, index) => decade * 10 ** index,
  );
  const ticks = decades.flatMap((unit) => [1, 2, 5].map((factor) => factor * unit))
    .filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  return { at: (value) => Math.log10(value / low) / Math.log10(high / low), ticks };
}

/** The plot's frame: where values lie in it. */
interface Frame {
  readonly x: (value: number) => string;
  readonly y: (value: number) => string;
  readonly ticks: readonly number[];
  readonly width: number;
  readonly height: number;
}

function frameOf({ curves, xTicks, logarithmic, width = 900, height = 180 }: LinePlot): Frame {
  const values = curves.flatMap(({ points }) => points.map(({ y }) => y));
  const scale = logarithmic ? logarithms(values) : linear(values);
  const [first, last] = [xTicks[0]?.x ?? 0, xTicks.at(-1)?.x ?? 1];
  const across = width - MARGIN.left - MARGIN.right;
  const up = height - MARGIN.top - MARGIN.bottom;
  return {
    // A single value of x stands in the middle.
    x: (value) => (MARGIN.left + (last > first ? (value - first) / (last - first) : 0.5) * across).toFixed(1),
    y: (value) => (height - MARGIN.bottom - scale.at(value) * up).toFixed(1),
    ticks: scale.ticks,
    width,
    height,
  };
}

function axes({ xTicks, xName }: LinePlot, { x, y, ticks, width, height }: Frame): string {
  const grid = ticks.map((tick) =>
    `<line class="axis" x1="${MARGIN.left}" x2="${width - MARGIN.right}" y1="${y(tick)}" y2="${y(tick)}"/>` +
    `<text class="s" x="${MARGIN.left - 6}" y="${y(tick)}" text-anchor="end" dominant-baseline="middle">${
      figure(tick)
    }</text>`
  );
  const texts = xTicks.map((tick) =>
    `<text class="s" x="${x(tick.x)}" y="${height - 8}" text-anchor="middle">${escaped(tick.text)}</text>`
  );
  const middle = (MARGIN.left + width - MARGIN.right) / 2;
  const name = xName === undefined
    ? ""
    : `<text class="s" x="${middle}" y="${height + NAME - 8}" text-anchor="middle">${escaped(xName)}</text>`;
  return `${grid.join("")}${texts.join("")}${name}`;
}

const dash = (dashed: boolean | undefined) => dashed === true ? ' stroke-dasharray="5 4"' : "";

function curve({ name, colour, dashed, points }: Curve, { x, y }: Frame, marked: boolean): string {
  const line = points.map((point) => `${x(point.x)},${y(point.y)}`).join(" ");
  const marks = !marked
    ? []
    : points.map((point) =>
      `<circle class="point" cx="${x(point.x)}" cy="${y(point.y)}" r="3.5" fill="${colour}"><title>${
        escaped(`${name}: ${figure(point.y)}`)
      }</title></circle>`
    );
  return `<polyline class="curve" points="${line}" stroke="${colour}"${dash(dashed)}/>${marks.join("")}`;
}

function legend(curves: readonly Curve[], top: number, width: number): string {
  const room = width - MARGIN.left - 32 - MARGIN.right;
  return curves.map(({ name, colour, dashed }, index) => {
    const at = top + LEGEND * index + 8;
    return `<line x1="${MARGIN.left}" x2="${MARGIN.left + 24}" y1="${at}" y2="${at}" stroke="${colour}" ` +
      `stroke-width="3"${dash(dashed)}/><text class="legend" x="${MARGIN.left + 32}" y="${at + 4}">${
        escaped(shortened(name, room))
      }</text>`;
  }).join("");
}

/** The curves in one frame: texts of both axes, the curves, and which is which where there are several. */
export function linePlot(asked: LinePlot): string {
  const { title, xName, logarithmic = false, marked = false } = asked;
  const curves = asked.curves.map((one) => ({
    ...one,
    points: one.points.filter(({ y }) => Number.isFinite(y) && (!logarithmic || y > 0)),
  }));
  const plot = { ...asked, curves };
  const frame = frameOf(plot);
  const below = frame.height + (xName === undefined ? 0 : NAME);
  const explained = curves.length > 1 ? curves : [];
  return `<svg viewBox="0 0 ${frame.width} ${below + LEGEND * explained.length}" role="img" aria-label="${
    escaped(title)
  }"><style>${PLOT_STYLE}</style>` +
    `<text class="b" x="${MARGIN.left}" y="15">${escaped(title)}</text>${axes(plot, frame)}${
      curves.map((one) => curve(one, frame, marked)).join("")
    }${legend(explained, below, frame.width)}</svg>`;
}
