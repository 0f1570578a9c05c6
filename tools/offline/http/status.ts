/** Stand-in for `@std/http/status`: the codes that this project uses, under the same names. */
export const STATUS_CODE = {
  OK: 200,
  BadRequest: 400,
  NotFound: 404,
  MethodNotAllowed: 405,
  UpgradeRequired: 426,
  TooManyRequests: 429,
  InternalServerError: 500,
  ServiceUnavailable: 503,
} as const;
