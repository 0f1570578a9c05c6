/**
 * Numbers as they stand in the table.
 *
 * @module
 */

/** A number with three digits that say something, or all of those before the point. */
export function digits(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toFixed(value >= 10 ? 1 : 2);
}

/** Microseconds. */
export const us = digits;

/** Milliseconds. */
export const ms = digits;

/** A share of one, in percent. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Bytes, in KiB. */
export function kib(bytes: number): string {
  return `${digits(bytes / 1024)} KiB`;
}

/** Bytes, in MiB. */
export function mib(bytes: number): string {
  return `${digits(bytes / 1024 / 1024)} MiB`;
}
