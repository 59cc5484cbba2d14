/** Sizes and bars for people. */

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Decimal units, two places at most, whole numbers without any: `21.86 kB`, `2 MB`, `512 B` (`spec/cli.md §5`). */
export function byteText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const text = Number.isInteger(value) ? String(value) : value.toFixed(2);
  return `${text} ${UNITS[unit]}`;
}

/** A bar of `width` characters, of which `share` (0 to 1) are full. */
export function barText(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `[${"=".repeat(full)}${" ".repeat(width - full)}]`;
}
