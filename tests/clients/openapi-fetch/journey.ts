/** The journey, by openapi-typescript and openapi-fetch. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/schema.js";

type Problem = components["schemas"]["Problem"];
type Task = components["schemas"]["Task"];

const client = createClient<paths>({ baseUrl: process.env["DOCKET"] ?? "" });
let token: string | null = null;
client.use({
  onRequest({ request }) {
    if (token !== null) request.headers.set("Authorization", `Bearer ${token}`);
  },
});

/** What is told of a problem: its code is for programs. */
function told(problem: Problem | undefined): string {
  switch (problem?.code) {
    case "email_already_registered":
      return "somebody has this address";
    case "precondition_failed":
      return "somebody was faster";
    case "token_revoked":
      return "signed out";
    default:
      return "something else";
  }
}

async function tasks(): Promise<Task[]> {
  const found: Task[] = [];
  let cursor: string | null = null;
  do {
    const query: { limit: number; cursor?: string } = cursor === null ? { limit: 2 } : { limit: 2, cursor };
    const { data } = await client.GET("/api/v1/tasks", { params: { query } });
    assert(data);
    found.push(...data.items);
    cursor = data.next_cursor;
  } while (cursor !== null);
  return found;
}

const person = { email: `${randomUUID()}@example.com`, password: "nine lives of a lighthouse" };
const registered = await client.POST("/api/v1/auth/register", { body: person });
assert.equal(registered.data?.email, person.email);
const again = await client.POST("/api/v1/auth/register", { body: person });
assert.equal(again.response.status, 409);
assert.equal(told(again.error), "somebody has this address");

const session = await client.POST("/api/v1/auth/login", { body: person });
assert(session.data?.refresh_token);
token = session.data.access_token;

for (const title of ["One", "Two", "Three"]) {
  const made = await client.POST("/api/v1/tasks", { body: { title, description: "Soon", priority: "high" } });
  assert.equal(made.response.status, 201);
}
const [three, ...rest] = await tasks();
assert(three);
assert.deepEqual([three, ...rest].map((task) => task.title), ["Three", "Two", "One"]);

const path = { task_id: three.id };
const patched = await client.PATCH("/api/v1/tasks/{task_id}", {
  params: { path },
  body: { description: null },
});
assert.deepEqual([patched.data?.description, patched.data?.title], [null, "Three"]);

const etag = patched.response.headers.get("ETag") ?? "";
const change = (title: string) =>
  client.PATCH("/api/v1/tasks/{task_id}", {
    params: { path, header: { "If-Match": etag } },
    body: { title },
  });
const first = await change("First");
assert.equal(first.data?.title, "First");
const second = await change("Second");
assert.equal(second.response.status, 412);
assert.equal(told(second.error), "somebody was faster");

const leave = new AbortController();
const bound = setTimeout(() => leave.abort(), 60_000);
const feed = await client.GET("/api/v1/changes/stream", { parseAs: "stream", signal: leave.signal });
assert(feed.data);
const firstTask = (async (body: ReadableStream<Uint8Array>) => {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of body) {
    text += decoder.decode(piece, { stream: true });
    const told = /^data: (.*task\.created.*)$/m.exec(text)?.[1];
    if (told !== undefined && text.includes(`${told}\n`)) return JSON.parse(told) as components["schemas"]["Change"];
  }
  return undefined;
})(feed.data);
await client.POST("/api/v1/tasks", { body: { title: "Seen in the stream" } }); // which has begun: its headers are there
const seen = (await firstTask)?.data;
assert(seen && "title" in seen);
assert.equal(seen.title, "Seen in the stream");
clearTimeout(bound);
leave.abort();

const next = await client.POST("/api/v1/auth/refresh", { body: { refresh_token: session.data.refresh_token } });
assert(next.data);
token = next.data.access_token;
const left = await client.POST("/api/v1/auth/logout");
assert.equal(left.response.status, 204);
const gone = await client.GET("/api/v1/auth/me");
assert.equal(gone.response.status, 401);
assert.equal(told(gone.error), "signed out");
console.log("The journey ended well.");
