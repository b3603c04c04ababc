// The generated client, whose requests are signed and time out, and what went wrong as an error with a code.
import createClient from "openapi-fetch";
import type { components, paths } from "./docket";

export type Task = components["schemas"]["Task"];
export type Organization = components["schemas"]["Organization"];
export type User = components["schemas"]["User"];

const PATIENCE = 8_000; // milliseconds, after which a server counts as one that does not answer
let token: string | null = null; // in memory alone: the refresh token is a cookie that no script can read
let renewing: Promise<User | null> | null = null;
let onEnd: () => void = () => {};

/** An answer that is a problem, or none at all. */
export class Failure extends Error {
  constructor(
    readonly code: string,
    detail: string,
    readonly fields: Record<string, string> = {},
    readonly retryAfter: number | null = null,
    readonly challenge: string | null = null,
  ) {
    super(detail);
  }
}

const send = (request: Request) => {
  if (token) request.headers.set("Authorization", `Bearer ${token}`);
  return fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(PATIENCE)]) });
};

/** Send a request. One whose token is not taken any more is sent again with the next one. */
async function sendSigned(request: Request): Promise<Response> {
  const again = request.clone();
  const answer = await send(request);
  if (answer.status !== 401 || !token || request.url.includes("/auth/")) return answer;
  if (await resume()) return send(again);
  onEnd();
  return answer;
}

export const api = createClient<paths>({ baseUrl: location.origin, fetch: sendSigned });

/** What an operation answered. Throws a Failure. */
export async function said<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<{ data: T; response: Response }> {
  const { data, error, response } = await call.catch((cause: unknown) => {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new Failure("unreachable", "");
  });
  if (response.ok) return { data: data as T, response };
  const problem = error as Partial<components["schemas"]["Problem"]> | undefined;
  const fields = (problem?.errors ?? []).map((fault) => [fault.pointer.slice(1), fault.detail]);
  const wait = response.headers.get("Retry-After");
  throw new Failure(
    problem?.code ?? "unreachable", // a proxy that has no server behind it answers what it likes
    problem?.detail ?? "",
    Object.fromEntries(fields),
    wait ? Number(wait) : null,
    problem?.challenge ?? null,
  );
}

/** Take up the session of the cookie, if there is one. All who need it at once wait for one request. */
export function resume(): Promise<User | null> {
  renewing ??= said(api.POST("/api/v1/auth/refresh", { body: { optional: true } }))
    .then(({ data }) => keep(data))
    .finally(() => {
      renewing = null;
    });
  return renewing;
}

/** Sign in. Where a code of a second factor is needed too, the Failure is `mfa_required` and has the challenge. */
export async function signIn(email: string, password: string): Promise<User | null> {
  const body = { email, password, token_transport: "cookie" } as const;
  return keep((await said(api.POST("/api/v1/auth/login", { body }))).data);
}

export async function completeSignIn(challenge: string, code: string): Promise<User | null> {
  const body = { challenge, code, token_transport: "cookie" } as const;
  return keep((await said(api.POST("/api/v1/auth/login/totp", { body }))).data);
}

export async function signOut(): Promise<void> {
  await said(api.POST("/api/v1/auth/logout", {}));
  token = null;
}

/** Say what to do when the session is over. */
export function whenOver(then: () => void): void {
  onEnd = then;
}

function keep(tokens: components["schemas"]["TokenPair"] | undefined): User | null {
  token = tokens?.access_token ?? null;
  return tokens?.user ?? null;
}
