/** Stand-in for `@std/http/status`: the codes that this project uses, under the same names. */
export const STATUS_CODE = {
  SwitchingProtocols: 101,
  OK: 200,
  Created: 201,
  NoContent: 204,
  NotModified: 304,
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  ContentTooLarge: 413,
  UnsupportedMediaType: 415,
  UpgradeRequired: 426,
  TooManyRequests: 429,
  InternalServerError: 500,
  ServiceUnavailable: 503,
} as const;
