// A front end with Better Auth, as docs/clients.md has it, on the loopback: /api/auth is the route of the document,
// /docket calls Docket by docket.mjs for any client, with the token that ?kind= names.
import { createServer } from "node:http";
import { GET, POST } from "./route.mjs";
import { auth } from "./auth.mjs";
import { tables } from "./database.mjs";
import { cachedToken, docket, token } from "./docket.mjs";

async function called(request) {
  const bearer = new URL(request.url).searchParams.get("kind") === "cache" ? cachedToken(request.headers) : await token(request.headers);
  try {
    const me = await docket(bearer, "GET", "/auth/me");
    const { id } = await docket(bearer, "POST", "/tasks", { title: "Find the moth" });
    return { token: bearer, me, task: await docket(bearer, "PATCH", `/tasks/${id}`, { priority: "high" }) };
  } catch (problem) {
    return { token: bearer, problem: { ...problem } };
  }
}

async function answer(request) {
  const { pathname } = new URL(request.url);
  if (pathname === "/docket") return Response.json(await called(request));
  if (pathname === "/verify") tables.user.forEach((user) => (user.emailVerified = true)); // as if the mail was answered
  if (pathname === "/verify") return new Response(null, { status: 204 });
  return request.method === "GET" ? GET(request) : POST(request);
}

const server = createServer(async (incoming, outgoing) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const body = chunks.length ? Buffer.concat(chunks) : undefined;
  const request = new Request(`${process.env.BETTER_AUTH_URL}${incoming.url}`, { method: incoming.method, headers: incoming.headers, body });
  const response = await answer(request);
  outgoing.statusCode = response.status;
  for (const [name, value] of response.headers) if (name !== "set-cookie") outgoing.setHeader(name, value);
  outgoing.setHeader("set-cookie", response.headers.getSetCookie());
  outgoing.end(Buffer.from(await response.arrayBuffer()));
});
server.listen(Number(new URL(process.env.BETTER_AUTH_URL).port), "127.0.0.1", () => console.log("listening", Boolean(auth)));
