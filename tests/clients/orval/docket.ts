/** What sends the requests of all that orval has made: it knows the address and the token. */
const session = { token: "" };

export function signIn(token: string): void {
  session.token = token;
}

export async function docket<T>(path: string, options: RequestInit): Promise<T> {
  const headers = new Headers(options.headers);
  if (session.token) headers.set("Authorization", `Bearer ${session.token}`);
  const answer = await fetch(`${process.env["DOCKET"] ?? ""}${path}`, { ...options, headers });
  const data: unknown = answer.status === 204 ? undefined : await answer.json();
  return { data, status: answer.status, headers: answer.headers } as T;
}
