/**
 * How the table shows numbers.
 *
 * @module
 */

/**
 * Formats a number with three significant digits, or with all digits before the decimal point if
 * there are more.
 */
export function digits(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toFixed(value >= 10 ? 1 : 2);
}

/** Formats microseconds. */
export const us = digits;

/** Formats milliseconds. */
export const ms = digits;

/** Formats a share, where 1 is 100 %. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Formats bytes as KiB. */
export function kib(bytes: number): string {
  return `${digits(bytes / 1024)} KiB`;
}

/** Formats bytes as MiB. */
export function mib(bytes: number): string {
  return `${digits(bytes / 1024 / 1024)} MiB`;
}
